// SPDX-License-Identifier: MIT
// The part of <stdlib.h> that libc++'s headers refer to; few of these have a definition.
#pragma once

#define __need_size_t
#define __need_wchar_t
#define __need_NULL
#include <stddef.h>

typedef struct {
    int quot, rem;
} div_t;
typedef struct {
    long quot, rem;
} ldiv_t;
typedef struct {
    long long quot, rem;
} lldiv_t;

#ifdef __cplusplus
extern "C" {
#endif

void* malloc(size_t size);
void free(void* memory);
[[noreturn]] void abort(void);
int abs(int value);
long labs(long value);
long long llabs(long long value);
div_t div(int numerator, int denominator);
ldiv_t ldiv(long numerator, long denominator);
lldiv_t lldiv(long long numerator, long long denominator);

#ifdef __cplusplus
}
#endif
