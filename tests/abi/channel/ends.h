// SPDX-License-Identifier: MIT
// Channels of the tests.
#pragma once

#include "abi/operations.h"
#include "runtime/semaphore.h"
#include "tests/guest/harness.h"

namespace annulus::test {

inline constexpr uint64_t structure = 0x57415453;
inline constexpr uint64_t version = 3;

// Both ends of a channel over `pages` fresh pages.
inline Result<BudgetChannel> make_channel(BudgetReference budget, uint64_t pages = 1) {
    const Memory memory = TRY(budget.create_memory(pages, 0));
    return budget.create_channel(memory, 0, pages * abi::page_size, structure, version);
}

inline abi::Status ring(ChannelReference end) { return system::signal(end.value()); }
inline abi::Status wait(ChannelReference end, uint64_t deadline = abi::deadline_poll) {
    return system::wait(end.value(), 0, deadline).status;
}

}  // namespace annulus::test
