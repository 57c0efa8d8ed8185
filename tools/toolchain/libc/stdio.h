// SPDX-License-Identifier: MIT
// The names of <stdio.h> that libc++'s headers refer to; there are no streams.
#pragma once

#define EOF (-1)

#ifdef __cplusplus
extern "C" {
#endif

// libc++ names it before its own std::remove; it has no definition.
int remove(const char* path);

#ifdef __cplusplus
}
#endif
