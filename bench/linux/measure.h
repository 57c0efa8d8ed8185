// SPDX-License-Identifier: MIT
// Measuring an operation on Linux, by the same rules as on Annulus (tests/abi/budgets/measure.h).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <algorithm>

namespace annulus::bench {

inline constexpr uint64_t warm_up = 100;
// The least of several batches, so that Linux does not pay for its timer's ticks.
inline constexpr unsigned batches = 12;
inline constexpr uint64_t rounds = 200;

// The time-stamp counter: counts instructions where the emulator does (QEMU's -icount).
inline uint64_t cycles() {
    uint32_t low;
    uint32_t high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return uint64_t{high} << 32 | low;
}

template <typename Operation>
[[gnu::always_inline]] inline uint64_t run(Operation operation, uint64_t count) {
    const uint64_t begin = cycles();
    for (uint64_t i = 0; i < count; ++i) {
        operation();
        asm volatile("");  // the empty round is a round, too
    }
    return cycles() - begin;
}

// What one of `per` parts of an operation costs.
template <typename Operation>
[[gnu::always_inline]] inline uint64_t cost(Operation operation, uint64_t per = 1,
                                            uint64_t count = rounds) {
    run(operation, std::min(count, warm_up));
    uint64_t best = UINT64_MAX;
    for (unsigned i = 0; i < batches; ++i) best = std::min(best, run(operation, count));
    const uint64_t loop = run([] {}, count);
    return (best - std::min(best, loop)) / count / per;
}

// One line that the report reads.
void report(const char* row, const char* way, uint64_t instructions);
// A point of a curve.
void report_point(const char* curve, const char* way, uint64_t x, uint64_t instructions);

// Ends the machine with a message: a benchmark that cannot run is a failure of the whole.
[[noreturn]] void fail(const char* what);
// `result` unless it is an error.
long must(const char* what, long result);

}  // namespace annulus::bench
