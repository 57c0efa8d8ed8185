# SPDX-License-Identifier: MIT
# What both trees share: where things are, the warnings, and how sources are found.

set(ANNULUS_ARCH x86_64)
set(ANNULUS_ROOT "${CMAKE_SOURCE_DIR}")
set(ANNULUS_TOOLS "${ANNULUS_ROOT}/tools")
find_program(ANNULUS_PYTHON python3 REQUIRED)

set(ANNULUS_WARNINGS
    -Wall -Wextra -Werror
    -Wthread-safety
    -Wimplicit-fallthrough
    -Wnon-virtual-dtor
    -Wold-style-cast
    -Woverloaded-virtual
)

# Finds the sources under the given folders (relative to the root). A new file is picked up by the
# next build; a folder that does not exist yet holds no sources. Of the folders arch/<name> only
# this architecture's counts; *.h.S is assembly to be included.
function(annulus_sources result)
    set(patterns "")
    foreach(folder IN LISTS ARGN)
        list(APPEND patterns "${ANNULUS_ROOT}/${folder}/*.cpp" "${ANNULUS_ROOT}/${folder}/*.S")
    endforeach()
    file(GLOB_RECURSE found CONFIGURE_DEPENDS ${patterns})
    set(chosen "")
    foreach(source IN LISTS found)
        if(source MATCHES "\\.h\\.S$" OR
           (source MATCHES "/arch/" AND NOT source MATCHES "/arch/${ANNULUS_ARCH}/"))
            continue()
        endif()
        list(APPEND chosen "${source}")
    endforeach()
    set(${result} "${chosen}" PARENT_SCOPE)
endfunction()
