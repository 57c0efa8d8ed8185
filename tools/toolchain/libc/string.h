// SPDX-License-Identifier: MIT
// The part of <string.h> that libc++'s headers and the compiler refer to.
#pragma once

#define __need_size_t
#define __need_NULL
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Freestanding code has no built-in functions: without these, eight bytes would be a call. Where
// the compiler does not replace them by moves it calls the function of the same name. Two steps,
// since a memcpy that is its own built-in looks to the compiler like an endless recursion.
#define ANNULUS_ALWAYS static inline __attribute__((__always_inline__))
#define ANNULUS_INSTEAD extern inline __attribute__((__gnu_inline__, __always_inline__))
ANNULUS_ALWAYS void* annulus_copy(void* to, const void* from, size_t count) {
    return __builtin_memcpy(to, from, count);
}
ANNULUS_ALWAYS void* annulus_move(void* to, const void* from, size_t count) {
    return __builtin_memmove(to, from, count);
}
ANNULUS_ALWAYS void* annulus_fill(void* to, int value, size_t count) {
    return __builtin_memset(to, value, count);
}
ANNULUS_INSTEAD void* memcpy(void* __restrict to, const void* __restrict from, size_t count) {
    return annulus_copy(to, from, count);
}
ANNULUS_INSTEAD void* memmove(void* to, const void* from, size_t count) {
    return annulus_move(to, from, count);
}
ANNULUS_INSTEAD void* memset(void* to, int value, size_t count) {
    return annulus_fill(to, value, count);
}
#undef ANNULUS_ALWAYS
#undef ANNULUS_INSTEAD
void* memchr(const void* bytes, int value, size_t count);
int memcmp(const void* left, const void* right, size_t count);
size_t strlen(const char* text);
int strcmp(const char* left, const char* right);
int strncmp(const char* left, const char* right, size_t count);

#ifdef __cplusplus
}
#endif
