# SPDX-License-Identifier: MIT
# lwIP, the TCP/IP library, from the sources that tools/fetch got: the target annulus_lwip<suffix>.
#
# Without its sources nothing that needs it is built, and the configuration says so. The globs are
# looked at again by each build, so that sources which arrive later are noticed.

set(lwip "${ANNULUS_ROOT}/build/sources/lwip")
file(GLOB lwip_sources CONFIGURE_DEPENDS
    "${lwip}/src/core/*.c" "${lwip}/src/core/ipv4/*.c" "${lwip}/src/netif/ethernet.c")
list(LENGTH lwip_sources lwip_count)
if(lwip_count EQUAL 0)
    set(ANNULUS_HAS_LWIP FALSE)
    message(WARNING "lwIP's sources are missing (tools/fetch): the network service and the images "
        "that name it are left out")
else()
    set(ANNULUS_HAS_LWIP TRUE)
    enable_language(C)
endif()

# Its headers, as those of the system: the project's warnings do not apply to them.
function(annulus_lwip_headers target)
    target_include_directories(${target} SYSTEM PRIVATE
        "${ANNULUS_ROOT}/services/net/lwip" "${lwip}/src/include")
endfunction()

# The library with the given flags; annulus_lwip_headers is for those who use it.
function(annulus_lwip_library target)
    add_library(${target} STATIC ${lwip_sources})
    annulus_lwip_headers(${target})
    target_include_directories(${target} PRIVATE "${ANNULUS_ROOT}")
    target_compile_options(${target} PRIVATE -std=gnu2x -w ${ARGN})
endfunction()
