// SPDX-License-Identifier: MIT
// The monotonic clock: nanoseconds since boot, the same on every CPU, readable by programs.
//
// The time-stamp counter, measured at boot against a timer of known rate, is the clock. The kernel
// relies on its running at one rate and being the same on all CPUs; cpu_features().invariant_tsc
// and the check at CPU start say whether the machine promises and keeps that (README.md).
#pragma once

#include "abi/records.h"

#include <stdint.h>

namespace annulus::arch {

// Nanoseconds since boot; never goes back on one CPU.
uint64_t now_ns();

// What a program needs to compute now_ns() by itself; constant after boot.
const abi::ClockPage& clock_parameters();

// How long a number of cycles of the time-stamp counter takes.
uint64_t cycles_to_ns(uint64_t cycles);

// Cycles of the time-stamp counter per second, as measured.
uint64_t cycle_frequency();

// Seconds since 1970-01-01 UTC from the battery-backed clock, read anew (slow, about 1 ms at
// worst); 0 when there is none.
uint64_t read_wall_clock();

}  // namespace annulus::arch
