// SPDX-License-Identifier: MIT
// The arithmetic of the clock: cycles to nanoseconds, and dates to seconds. No hardware access.
#pragma once

#include "abi/records.h"

#include <stdint.h>

namespace annulus::arch {

// now_ns for a reading of the time-stamp counter, which is at or after base_tsc.
constexpr uint64_t cycles_to_ns(const abi::ClockPage& clock, uint64_t tsc) {
    const auto cycles = static_cast<unsigned __int128>(tsc - clock.base_tsc);
    return clock.base_ns + static_cast<uint64_t>(cycles * clock.mult >> clock.shift);
}

// value / divisor, or the highest number when that does not fit. Bit by bit, as the compiler would
// call a library function that the kernel does not have; only for set-up. The divisor is below
// 2^63.
constexpr uint64_t divide_wide(unsigned __int128 value, uint64_t divisor) {
    uint64_t remainder = 0;
    uint64_t quotient = 0;
    bool overflow = false;
    for (unsigned bit = 128; bit-- > 0;) {
        remainder = remainder << 1 | static_cast<uint64_t>(value >> bit & 1);
        overflow = overflow || quotient >> 63;
        quotient <<= 1;
        if (remainder < divisor) continue;
        remainder -= divisor;
        quotient |= 1;
    }
    return overflow ? ~uint64_t{0} : quotient;
}

// Parameters for a counter of `frequency` cycles a second that reads base_tsc at time 0. The
// multiplier has as many bits as fit 64, at least 53 significant ones for any frequency from 1 MHz
// to 1 THz, so that rounding is below 1 ns in a day.
constexpr abi::ClockPage make_clock(uint64_t frequency, uint64_t base_tsc) {
    constexpr unsigned __int128 second = 1'000'000'000;
    uint32_t shift = 63;
    while (shift > 0 && divide_wide(second << shift, frequency) == ~uint64_t{0}) --shift;
    return {
        .base_tsc = base_tsc,
        .base_ns = 0,
        .mult = divide_wide(second << shift, frequency),
        .shift = shift,
        .version = 1,
    };
}

// Days from 1970-01-01 to a date of the Gregorian calendar, from 1970 on.
constexpr uint64_t days_since_1970(uint32_t year, uint32_t month, uint32_t day) {
    // The year begins in March, so that the leap day is its last.
    const uint32_t y = month <= 2 ? year - 1 : year;
    const uint32_t m = month <= 2 ? month + 9 : month - 3;
    const uint64_t days = uint64_t{365} * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day;
    return days - 719469;  // the same sum for 1970-01-01
}

}  // namespace annulus::arch
