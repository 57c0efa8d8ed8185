// SPDX-License-Identifier: MIT
// What lwIP calls when it finds itself broken, for programs on the host.
#include <cstdio>
#include <cstdlib>

#include <lwip/arch.h>

void annulus_lwip_failed(const char* what) {
    static_cast<void>(std::fprintf(stderr, "lwIP: %s\n", what));
    std::abort();
}
