// SPDX-License-Identifier: MIT
// The types of <time.h> that libc++'s durations refer to.
#pragma once

#define __need_size_t
#define __need_NULL
#include <stddef.h>

typedef long clock_t;
typedef long time_t;

struct timespec {
    time_t tv_sec;
    long tv_nsec;
};

struct tm {
    int tm_sec, tm_min, tm_hour, tm_mday, tm_mon, tm_year, tm_wday, tm_yday, tm_isdst;
};
