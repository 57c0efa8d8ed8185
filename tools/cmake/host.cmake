# SPDX-License-Identifier: MIT
# Tests that run on Linux: unit and property tests in three builds, and fuzz targets.
#
#   tests/host/<folder>/*.cpp   one program per folder and build, with GoogleTest's main
#   tests/host/sources.cmake    the project's own sources that they test (patterns from the root)
#   tests/fuzz/<name>.cpp       one libFuzzer program each
#
# Builds: plain (-O2), sanitized (address and undefined behaviour), threads (thread sanitizer; only
# folders below tests/host/threads, which the other builds leave out).

find_package(GTest REQUIRED)
find_package(Threads REQUIRED)
include("${ANNULUS_ROOT}/tests/host/sources.cmake")
include(lwip)
if(NOT ANNULUS_HAS_LWIP)
    set(annulus_host_lwip_sources "")
endif()
list(APPEND annulus_host_sources ${annulus_host_lwip_sources})
list(TRANSFORM annulus_host_sources PREPEND "${ANNULUS_ROOT}/")
file(GLOB host_sources CONFIGURE_DEPENDS ${annulus_host_sources})

set(flags_plain "")
set(flags_sanitized -fsanitize=address,undefined -fno-sanitize-recover=all)
set(flags_threads -fsanitize=thread)
# What is tested, with coverage feedback for the fuzz targets.
set(source_flags_plain -O2)
set(source_flags_sanitized -O1 -fsanitize=fuzzer-no-link)
set(source_flags_threads -O1)
# The tests themselves. Without optimisation the sanitized ones would run five times longer.
set(test_flags_plain -O1)
set(test_flags_sanitized -O1)
set(test_flags_threads -O1)

add_link_options(-fuse-ld=lld)

function(annulus_host_flags target build kind)
    # Headers named "arch/..." are tests/host/include's if there, else the target's.
    target_include_directories(${target} PRIVATE "${ANNULUS_ROOT}"
        "${ANNULUS_ROOT}/tests/host/include" "${ANNULUS_ROOT}/kernel/arch/${ANNULUS_ARCH}/include")
    target_compile_definitions(${target} PRIVATE ANNULUS_DEBUG=1 ANNULUS_COUNTERS=0)
    target_compile_options(${target} PRIVATE
        -gline-tables-only -fno-omit-frame-pointer
        ${ANNULUS_WARNINGS} ${flags_${build}} ${${kind}_flags_${build}})
    target_link_options(${target} PRIVATE ${flags_${build}})
    annulus_lwip_headers(${target})
endfunction()

function(annulus_host_test name folder builds)
    file(GLOB sources CONFIGURE_DEPENDS "${folder}/*.cpp")
    foreach(build IN LISTS builds)
        set(target "host-${build}-${name}")
        add_executable(${target} ${sources})
        annulus_host_flags(${target} ${build} test)
        target_precompile_headers(${target} REUSE_FROM annulus_gtest_${build})
        target_link_libraries(${target} PRIVATE
            annulus_host_${build} GTest::gtest GTest::gtest_main Threads::Threads)
        set_target_properties(${target} PROPERTIES
            OUTPUT_NAME "${name}"
            RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/${build}")
    endforeach()
endfunction()

foreach(build IN ITEMS plain sanitized threads)
    add_library(annulus_host_${build} STATIC ${host_sources})
    annulus_host_flags(annulus_host_${build} ${build} source)
    if(ANNULUS_HAS_LWIP)
        annulus_lwip_library(annulus_lwip_${build}
            -gline-tables-only ${flags_${build}} ${source_flags_${build}})
        target_link_libraries(annulus_host_${build} PUBLIC annulus_lwip_${build})
    endif()

    # GoogleTest's headers, compiled once for each build: they take most of a test's time.
    set(empty "${CMAKE_BINARY_DIR}/gtest_${build}.cpp")
    file(CONFIGURE OUTPUT "${empty}" CONTENT "")
    add_library(annulus_gtest_${build} OBJECT "${empty}")
    annulus_host_flags(annulus_gtest_${build} ${build} test)
    target_link_libraries(annulus_gtest_${build} PRIVATE GTest::gtest Threads::Threads)
    target_precompile_headers(annulus_gtest_${build} PRIVATE <gtest/gtest.h>)
endforeach()

file(GLOB test_sources CONFIGURE_DEPENDS
    "${ANNULUS_ROOT}/tests/host/*/*.cpp" "${ANNULUS_ROOT}/tests/host/threads/*/*.cpp")
set(seen "")
foreach(source IN LISTS test_sources)
    cmake_path(GET source PARENT_PATH folder)
    if(folder IN_LIST seen)
        continue()
    endif()
    list(APPEND seen "${folder}")
    cmake_path(GET folder FILENAME name)
    if(name STREQUAL "net" AND NOT ANNULUS_HAS_LWIP)
        continue()
    endif()
    if(folder MATCHES "/tests/host/threads(/|$)")
        annulus_host_test("${name}" "${folder}" "threads")
    else()
        annulus_host_test("${name}" "${folder}" "plain;sanitized")
    endif()
endforeach()

file(GLOB fuzz_sources CONFIGURE_DEPENDS "${ANNULUS_ROOT}/tests/fuzz/*.cpp")
foreach(source IN LISTS fuzz_sources)
    cmake_path(GET source STEM name)
    if(name MATCHES "^net_" AND NOT ANNULUS_HAS_LWIP)
        continue()
    endif()
    set(target "fuzz-${name}")
    add_executable(${target} "${source}")
    annulus_host_flags(${target} sanitized source)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${target} PRIVATE annulus_host_sanitized)
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME "${name}"
        RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
endforeach()
