// SPDX-License-Identifier: MIT
// Measuring an operation on Linux, by the same rules as on Annulus (tests/abi/budgets/measure.h).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <array>

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

// What an operation takes in time: the difference between batches is noise.
struct Spread {
    uint64_t least;
    uint64_t median;
    uint64_t most;
};

// Cycles of one of `per` parts of an operation, by the rules of
// bench/programs/bench_pairs/report.h.
template <typename Operation>
Spread spread(Operation operation, uint64_t per = 1) {
    constexpr size_t timed_batches = 15;
    constexpr uint64_t batch_cycles = 1'000'000;
    constexpr uint64_t batch_rounds_max = 1 << 16;
    uint64_t count = 1;
    const auto too_short = [&] {
        return std::min({run(operation, count), run(operation, count), run(operation, count)}) <
               batch_cycles / 2;
    };
    while (too_short() && count < batch_rounds_max) count *= 2;
    std::array<uint64_t, timed_batches> found;
    for (uint64_t& one : found) one = run(operation, count) / count / per;
    std::ranges::sort(found);
    return {found.front(), found[timed_batches / 2], found.back()};
}

// One line that the report reads.
void report(const char* row, const char* way, uint64_t instructions);
// A point of a curve.
void report_point(const char* curve, const char* way, uint64_t x, uint64_t instructions);
// The same in time.
void report_time(const char* curve, const char* way, uint64_t x, Spread found);

// Ends the machine with a message: a benchmark that cannot run is a failure of the whole.
[[noreturn]] void fail(const char* what);
// `result` unless it is an error.
long must(const char* what, long result);

}  // namespace annulus::bench
