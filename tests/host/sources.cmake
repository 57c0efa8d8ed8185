# SPDX-License-Identifier: MIT
# The sources that host tests and fuzz targets link: files without hardware access (patterns).

set(annulus_host_sources
    "base/*.cpp"
    "boot/memory_map.cpp"
    "boot/start_info.cpp"
    "kernel/arch/x86_64/firmware/acpi.cpp"
    "kernel/arch/x86_64/firmware/acpi_tables.cpp"
    "kernel/memory/address_*.cpp"
    "kernel/memory/frame_directory.cpp"
    "kernel/memory/memory_*.cpp"
    "kernel/memory/object_heap.cpp"
    "kernel/memory/page_allocator.cpp"
    "kernel/object/budget.cpp"
    "kernel/object/object.cpp"
    "kernel/schedule/run_queue.cpp"
    "kernel/schedule/timer_wheel.cpp"
    "drivers/console/serial/receive_queue.cpp"
    "drivers/console/serial/transmit_queue.cpp"
    "services/http/message/*.cpp"
    "services/http/session/*.cpp"
    "services/init/exports/*.cpp"
    "services/init/log/line_queue.cpp"
    "services/init/manifest.cpp"
    "services/init/manifest/*.cpp"
    "services/init/supervisor_policy.cpp"
    "programs/shell/text/*.cpp"
    "services/archive/index.cpp"
    "services/memory_files/accounts.cpp"
    "services/memory_files/page_map.cpp"
    "services/memory_files/tree.cpp"
    "services/pci/config/*.cpp"
    "proxies/firewall/filter.cpp"
    "proxies/firewall/frame.cpp"
    "proxies/firewall/rules.cpp"
    "runtime/heap.cpp"
    "runtime/start_block.cpp"
    "tests/support/*.cpp"
    "tools/abi_generator/describe.cpp"
    "tools/abi_generator/*_writer.cpp"
)

# Those that need lwIP, which may be missing.
set(annulus_host_lwip_sources
    "services/net/lwip/*.cpp"
    "services/net/stack/*.cpp"
    "tests/support/lwip/*.cpp"
)
