// SPDX-License-Identifier: MIT
// What the program says: times of points, in cycles of the host's counter, one line each:
//
//     TIME <curve> | <way> | <x> | <least> | <median> | <most>
//
// least, median and most are of batches: the difference is noise.
#pragma once

#include "bench/programs/workloads.h"
#include "runtime/thread.h"

#include <algorithm>
#include <array>

namespace annulus::test {

inline constexpr size_t batches = 15;
inline constexpr uint64_t batch_cycles = 1'000'000;  // at least half of it
inline constexpr uint64_t batch_rounds_max = 1 << 16;

template <typename Operation>
uint64_t cycles_of(Operation operation, uint64_t count) {
    const uint64_t begin = cycles();
    for (uint64_t i = 0; i < count; ++i) operation();
    return cycles() - begin;
}

// What a `per`-th of an operation takes.
template <typename Operation>
void time_point(std::string_view curve, std::string_view way, uint64_t x, Operation operation,
                uint64_t per = 1) {
    uint64_t count = 1;
    // The least of three, since the host may have taken the CPU away in one of them.
    const auto too_short = [&] {
        return std::min({cycles_of(operation, count), cycles_of(operation, count),
                         cycles_of(operation, count)}) < batch_cycles / 2;
    };
    while (too_short() && count < batch_rounds_max) count *= 2;
    std::array<uint64_t, batches> found;
    for (uint64_t& one : found) one = share_of(cycles_of(operation, count), count * per);
    // Not std::sort, which for words is in the library and not in its headers.
    std::ranges::make_heap(found);
    std::ranges::sort_heap(found);
    log("TIME {} | {} | {} | {} | {} | {}", curve, way, x, found.front(), found[batches / 2],
        found.back());
}

// Runs `body` on the first CPU alone; peers get the second.
inline constexpr uint64_t first_cpu = 1;
inline constexpr uint64_t second_cpu = 2;
inline void on_first_cpu(Context& test, void (*body)(Context& test)) {
    const auto ledger = MUST(test.budget().get_ledger());
    auto thread = MUST(start_thread(
        [&test, body] { body(test); },
        {.stack_pages = 16, .priority = ledger.priority_ceiling, .affinity = first_cpu}));
    EXPECT_OK(thread.join());
}

}  // namespace annulus::test
