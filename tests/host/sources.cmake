# SPDX-License-Identifier: MIT
# The project's own sources that host tests and fuzz targets link: files without hardware access (patterns).

set(annulus_host_sources
    "base/*.cpp"
    "kernel/memory/page_allocator.cpp"
    "tests/support/*.cpp"
)
