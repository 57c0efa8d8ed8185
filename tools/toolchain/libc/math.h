// SPDX-License-Identifier: MIT
// The constants of <math.h> that libc++'s headers refer to; there is no floating-point arithmetic.
#pragma once

#define FP_NAN 0
#define FP_INFINITE 1
#define FP_ZERO 2
#define FP_SUBNORMAL 3
#define FP_NORMAL 4
