# SPDX-License-Identifier: MIT
# User programs: each folder with a main.cpp is one static position-independent executable.

include(generated)
include(lwip)

# The system call stubs push below the stack pointer, so there is no red zone.
set(ANNULUS_PROGRAM_FLAGS
    -O2 -fpie -fvisibility=hidden -ftls-model=local-exec -fno-omit-frame-pointer -mno-red-zone
    ${ANNULUS_LINK_TIME_FLAGS})

# What every source of a program is compiled with.
function(annulus_program_sources target)
    annulus_freestanding(${target})
    annulus_generated(${target})
    target_compile_options(${target} PRIVATE ${ANNULUS_PROGRAM_FLAGS})
    if(target STREQUAL "annulus_runtime")
        target_precompile_headers(${target} PRIVATE ${ANNULUS_PRECOMPILED})
    else()
        target_precompile_headers(${target} REUSE_FROM annulus_runtime)
    endif()
endfunction()

# A static library for programs from the sources under the given folders.
function(annulus_library target)
    annulus_sources(sources ${ARGN})
    add_library(${target} STATIC ${sources})
    annulus_program_sources(${target})
endfunction()

# The program in one folder (a path from the root), under the given name.
function(annulus_program name folder)
    annulus_sources(sources "${folder}")
    set(target "program-${name}")
    add_executable(${target} ${sources})
    annulus_program_sources(${target})
    target_link_libraries(${target} PRIVATE ${ARGN} annulus_runtime)
    target_link_options(${target} PRIVATE
        ${ANNULUS_LINK_TIME_LINK_FLAGS}
        -static -pie --no-dynamic-linker -nostdlib -e _start --gc-sections --build-id=none
        "SHELL:-z text" "SHELL:-z noexecstack" "SHELL:-z separate-code"
        "SHELL:-z max-page-size=4096")
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME "${name}"
        RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/programs")

    # Images hold programs without their debug information; gdb reads it from the unstripped file.
    set(stripped "${CMAKE_BINARY_DIR}/stripped/${name}")
    add_custom_command(OUTPUT "${stripped}"
        COMMAND llvm-strip-19 --strip-all -o "${stripped}" "$<TARGET_FILE:${target}>"
        DEPENDS ${target} VERBATIM)
    set_property(GLOBAL APPEND PROPERTY ANNULUS_PROGRAMS "${name}")
endfunction()

# Every folder that matches one of the patterns and holds a main.cpp; names get the prefix.
function(annulus_programs prefix libraries)
    foreach(pattern IN LISTS ARGN)
        file(GLOB mains CONFIGURE_DEPENDS "${ANNULUS_ROOT}/${pattern}/main.cpp")
        foreach(main IN LISTS mains)
            cmake_path(GET main PARENT_PATH folder)
            cmake_path(GET folder FILENAME name)
            cmake_path(RELATIVE_PATH folder BASE_DIRECTORY "${ANNULUS_ROOT}")
            if(folder IN_LIST ANNULUS_LEFT_OUT)
                set_property(GLOBAL APPEND PROPERTY ANNULUS_PROGRAMS_LEFT_OUT "${prefix}${name}")
                continue()
            endif()
            annulus_program("${prefix}${name}" "${folder}" ${libraries})
        endforeach()
    endforeach()
endfunction()

# Folders of programs that cannot be built because the sources of a library are missing.
set(ANNULUS_LEFT_OUT "")
if(NOT ANNULUS_HAS_LWIP)
    list(APPEND ANNULUS_LEFT_OUT "services/net")
endif()

file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/stripped")
annulus_library(annulus_runtime abi base channel runtime)
annulus_library(annulus_guest_test tests/guest)
annulus_programs("" "" "drivers/*/*" "services/*" "proxies/*" "programs/*")
annulus_programs("test_" annulus_guest_test "tests/abi/*" "tests/hostile/*")
annulus_programs("" annulus_guest_test "bench/programs/*")

if(ANNULUS_HAS_LWIP AND TARGET program-net)
    annulus_lwip_library(annulus_lwip
        ${ANNULUS_FREESTANDING_FLAGS} ${ANNULUS_FREESTANDING_C_FLAGS} ${ANNULUS_PROGRAM_FLAGS})
    annulus_lwip_headers(program-net)
    target_link_libraries(program-net PRIVATE annulus_lwip)
endif()
