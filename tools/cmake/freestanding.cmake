# SPDX-License-Identifier: MIT
# Flags of freestanding code: what kernel and programs share.

set(libcxx "")
foreach(prefix "" "${ANNULUS_ROOT}/build/toolchain")
    if(EXISTS "${prefix}/usr/lib/llvm-19/include/c++/v1/__config")
        set(libcxx "${prefix}/usr/lib/llvm-19/include/c++/v1")
        break()
    endif()
endforeach()
if(NOT libcxx)
    message(FATAL_ERROR "the headers of libc++ 19 are missing: run tools/setup build")
endif()

execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-resource-dir
    OUTPUT_VARIABLE resources OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)

# libc++'s own configuration comes first, then libc++, the compiler's headers, the C header stubs.
set(ANNULUS_FREESTANDING_FLAGS
    -ffreestanding
    -mno-sse -mno-mmx -mno-implicit-float
    -fno-stack-protector
    -fno-asynchronous-unwind-tables
    -ffunction-sections -fdata-sections
    -fno-common
    -g
    "-ffile-prefix-map=${ANNULUS_ROOT}/="
)
set(ANNULUS_FREESTANDING_CXX_FLAGS
    -fno-exceptions -fno-rtti
    -nostdinc++ -nostdlibinc
    "SHELL:-isystem ${ANNULUS_TOOLS}/toolchain/site"
    "SHELL:-isystem ${libcxx}"
    "SHELL:-isystem ${resources}/include"
    "SHELL:-isystem ${ANNULUS_TOOLS}/toolchain/libc"
    ${ANNULUS_WARNINGS}
)
# Libraries in C that are built with the system see the compiler's headers and our stubs.
set(ANNULUS_FREESTANDING_C_FLAGS
    -nostdlibinc
    "SHELL:-isystem ${resources}/include"
    "SHELL:-isystem ${ANNULUS_TOOLS}/toolchain/libc"
)

# The standard headers in use take most of a source's time, so they are compiled once for each set
# of flags. Sources include what they need all the same: clang-tidy compiles them without this.
set(ANNULUS_PRECOMPILED
    <algorithm> <array> <atomic> <bit> <cstddef> <memory> <new> <optional> <span> <string_view>
    <type_traits> <utility>)

# Functions are inlined across sources when a program is linked, which takes a tenth off most ways
# through the kernel. What came out for a source is kept for the next link: the kernel is linked
# twice, programs share a runtime, and most sources do not change.
set(ANNULUS_LINK_TIME_FLAGS -flto=thin)
set(ANNULUS_LINK_TIME_LINK_FLAGS
    "--thinlto-cache-dir=${CMAKE_BINARY_DIR}/link_time"
    # Several programs are linked at once.
    --thinlto-jobs=1)

# Applies the shared flags to one target.
function(annulus_freestanding target)
    target_include_directories(${target} PRIVATE "${ANNULUS_ROOT}")
    target_compile_definitions(${target} PRIVATE
        _LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_EXTENSIVE)
    target_compile_options(${target} PRIVATE
        ${ANNULUS_FREESTANDING_FLAGS}
        "$<$<COMPILE_LANGUAGE:CXX>:${ANNULUS_FREESTANDING_CXX_FLAGS}>")
endfunction()
