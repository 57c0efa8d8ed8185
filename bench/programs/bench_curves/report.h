// SPDX-License-Identifier: MIT
// What the program says: points of curves, and rows without a budget. Each is a line of its own:
//
//     POINT <curve> | <way> | <x> | <instructions>
//     FIGURE <row> | <name> | <instructions> | <kernel entries> | <page table loads>
#pragma once

#include "tests/abi/budgets/measure.h"

#include <algorithm>

namespace annulus::test {

// Fewer rounds for what takes long.
constexpr uint64_t rounds_for(uint64_t size) {
    return std::max<uint64_t>(2, 200 / (1 + size / 4096));
}

// What a `per`-th of an operation costs.
template <typename Operation>
uint64_t point(Context& test, std::string_view curve, std::string_view way, uint64_t x,
               Operation operation, uint64_t count, uint64_t per = 1) {
    for (uint64_t i = 0; i < std::min<uint64_t>(count, 20); ++i) operation();
    settle(test);
    operation();
    const uint64_t begin = cycles();
    for (uint64_t i = 0; i < count; ++i) operation();
    const uint64_t cost = share_of(cycles() - begin, count * per);
    log("POINT {} | {} | {} | {}", curve, way, x, cost);
    return cost;
}

// The same for a row.
template <typename Operation>
uint64_t figure(Context& test, std::string_view row, std::string_view name, Operation operation,
                uint64_t per = 1) {
    constexpr uint64_t count = 100;
    for (uint64_t i = 0; i < 10; ++i) operation();
    settle(test);
    operation();
    const abi::MachineLedger before = machine(test);
    const uint64_t begin = cycles();
    for (uint64_t i = 0; i < count; ++i) operation();
    const uint64_t cost = share_of(cycles() - begin, count * per);
    const abi::MachineLedger after = machine(test);
    log("FIGURE {} | {} | {} | {} | {}", row, name, cost,
        share_of(after.kernel_entries - before.kernel_entries, count * per),
        share_of(after.page_table_loads - before.page_table_loads, count * per));
    return cost;
}

}  // namespace annulus::test
