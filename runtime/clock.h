// SPDX-License-Identifier: MIT
// The time, read from the cycle counter and the kernel's clock page without a system call.
#pragma once

#include "abi/records.h"
#include "base/result.h"
#include "runtime/deadline.h"

#include <stdint.h>

namespace annulus {

// The time that `page` gives for a reading of the cycle counter, in nanoseconds. A reading before
// the page's own (another CPU's counter may be a little behind) gives the page's time.
constexpr uint64_t clock_time(const abi::ClockPage& page, uint64_t cycles) {
    const uint64_t passed = cycles > page.base_tsc ? cycles - page.base_tsc : 0;
    // 128 bits: a 64-bit product of cycles and a 32-bit fraction overflows within seconds.
    using Wide = unsigned __int128;
    return page.base_ns + static_cast<uint64_t>(Wide{passed} * page.mult >> page.shift);
}

// The cycle counter. Under an emulator that counts instructions it counts those.
inline uint64_t read_cycles() { return __builtin_ia32_rdtsc(); }

class Clock {
public:
    // Maps the clock page at the first use. not_granted: no `clock` was handed out, or no `process`
    // to map it into; wrong_version.
    static Result<Clock> open();

    uint64_t now() const { return clock_time(*page_, read_cycles()); }

private:
    explicit Clock(const abi::ClockPage* page) : page_(page) {}
    const abi::ClockPage* page_;
};

// The time in nanoseconds, for programs that were handed `clock`; a panic otherwise.
uint64_t now();

}  // namespace annulus
