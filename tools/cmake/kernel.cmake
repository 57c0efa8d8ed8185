# SPDX-License-Identifier: MIT
# The kernel in three variants of the same sources: kernel-release, kernel-debug, kernel-counting.
# In the debug variant nothing is inlined across sources, so that backtraces name what is called.
#
# Each variant is linked twice: the first link fixes the addresses, tools/symbols.py makes the table
# of function names from it, and the second link adds the table behind everything else.

annulus_sources(kernel_sources abi base boot kernel)
set(kernel_arch "${ANNULUS_ROOT}/kernel/arch/${ANNULUS_ARCH}")
list(REMOVE_ITEM kernel_sources "${kernel_arch}/offsets.cpp")
set(linker_script "${kernel_arch}/kernel.ld")

# How the kernel's sources are compiled; `ARGN`: the variant's own flags.
function(annulus_kernel_options target)
    annulus_freestanding(${target})
    # "arch/cpu.h" is the chosen architecture's.
    target_include_directories(${target} PRIVATE "${kernel_arch}/include")
    target_compile_options(${target} PRIVATE
        -fno-pic -mcmodel=kernel -mno-red-zone
        # Backtraces follow frame pointers.
        -fno-omit-frame-pointer
        # Nothing runs constructors of globals: they must be constant-initialised.
        $<$<COMPILE_LANGUAGE:CXX>:-Wglobal-constructors>
        ${ARGN})
endfunction()

# Makes "generated/offsets.h.S" for the variant's assembly: offsets.cpp, compiled no further than to
# assembly, says it.
function(annulus_kernel_offsets name)
    add_library(${name}-offsets OBJECT "${kernel_arch}/offsets.cpp")
    annulus_kernel_options(${name}-offsets ${ARGN} -S)
    set(made "${CMAKE_BINARY_DIR}/kernel/${name}/generated/offsets.h.S")
    file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/kernel/${name}/generated")
    add_custom_command(OUTPUT "${made}"
        COMMAND "${ANNULUS_PYTHON}" "${ANNULUS_TOOLS}/offsets.py"
            "$<TARGET_OBJECTS:${name}-offsets>" "${made}"
        # Equal text is left alone; its time must still pass the object's.
        COMMAND "${CMAKE_COMMAND}" -E touch "${made}"
        DEPENDS "$<TARGET_OBJECTS:${name}-offsets>" "${ANNULUS_TOOLS}/offsets.py"
        COMMENT "Naming places for the assembly of ${name}" VERBATIM)
    target_sources(${name}-objects PRIVATE "${made}")
    set_source_files_properties("${made}" PROPERTIES HEADER_FILE_ONLY ON)
    target_include_directories(${name}-objects PRIVATE "${CMAKE_BINARY_DIR}/kernel/${name}")
endfunction()

function(annulus_kernel variant)
    set(name "kernel-${variant}")

    add_library(${name}-objects OBJECT ${kernel_sources})
    annulus_kernel_options(${name}-objects ${ARGN})
    if(NOT variant STREQUAL debug)
        target_compile_options(${name}-objects PRIVATE
            $<$<COMPILE_LANGUAGE:CXX>:${ANNULUS_LINK_TIME_FLAGS}>)
    endif()
    annulus_kernel_offsets(${name} ${ARGN})
    target_precompile_headers(${name}-objects PRIVATE ${ANNULUS_PRECOMPILED})

    foreach(pass "${name}-unnamed" "${name}")
        add_executable(${pass} $<TARGET_OBJECTS:${name}-objects>)
        target_link_options(${pass} PRIVATE
            ${ANNULUS_LINK_TIME_LINK_FLAGS}
            -T "${linker_script}" -nostdlib -static --gc-sections --build-id=none
            "SHELL:-z noexecstack" "SHELL:-z max-page-size=4096")
        set_target_properties(${pass} PROPERTIES
            LINKER_LANGUAGE CXX
            LINK_DEPENDS "${linker_script}"
            SUFFIX .elf
            RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/kernel")
    endforeach()

    set(table "${CMAKE_BINARY_DIR}/kernel/${name}-symbols.S")
    add_custom_command(OUTPUT "${table}"
        COMMAND "${ANNULUS_PYTHON}" "${ANNULUS_TOOLS}/symbols.py" make
            "$<TARGET_FILE:${name}-unnamed>" "${table}"
        DEPENDS ${name}-unnamed "${ANNULUS_TOOLS}/symbols.py"
        COMMENT "Naming the functions of ${name}" VERBATIM)
    target_sources(${name} PRIVATE "${table}")
    add_custom_command(TARGET ${name} POST_BUILD
        COMMAND "${ANNULUS_PYTHON}" "${ANNULUS_TOOLS}/symbols.py" check
            "$<TARGET_FILE:${name}-unnamed>" "$<TARGET_FILE:${name}>" VERBATIM)
endfunction()

annulus_kernel(release -O2 -DANNULUS_DEBUG=0 -DANNULUS_COUNTERS=0)
annulus_kernel(debug -O1 -mno-omit-leaf-frame-pointer -DANNULUS_DEBUG=1 -DANNULUS_COUNTERS=0)
annulus_kernel(counting -O2 -DANNULUS_DEBUG=0 -DANNULUS_COUNTERS=1)
