// SPDX-License-Identifier: MIT
// What tests of tables need beside a table: operations, and the client's side of calls.
#pragma once

#include "runtime/semaphore.h"
#include "tests/guest/child.h"
#include "tests/guest/table_bench.h"
#include "tests/guest/threads.h"

#include <string.h>

namespace annulus::test {

inline constexpr uint64_t op_write = abi::operation_word(abi::Verb::write, 1);
inline constexpr uint64_t op_share(unsigned mask) {
    return abi::operation_word(abi::Verb::share, 1, mask);
}

inline system::CallAnswer call(ServedReference object, uint64_t operation, uint64_t word_0 = 0) {
    return system::call_words(object.value(), operation, word_0);
}
inline system::CallAnswer call(ServedReference object, uint64_t operation, uint64_t word_0,
                               uint64_t deadline) {
    return system::call_buffer(object.value(), operation, {}, word_0, 0, 0, 0, 0, 0, deadline);
}

inline Result<Semaphore> make_semaphore(const Context& test, uint64_t initial = 0) {
    return test.budget().create_semaphore(abi::semaphore_counting, initial, MemoryReference(), 0);
}

// Where a child that calls a bench's object finds its handle and counts its calls.
struct CallerWords {
    unsigned object;
    unsigned calls;
};

// Children with three threads each run `client`, which calls for ever, and are killed after more
// and more calls; then the table has all its slots again. `called`: how many calls there were.
inline void kill_callers(Context& test, const TableBench& bench, void (*client)(Child::Word*),
                         CallerWords at, unsigned trials, uint64_t slots, uint64_t& called) {
    const auto never = MUST(make_semaphore(test));
    called = 0;
    for (unsigned trial = 0; trial < trials; ++trial) {
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
        child.words()[at.object] = MUST(child.lend(bench.object));
        for (unsigned i = 0; i < 3; ++i) EXPECT_OK(child.start(client));
        while (child.words()[at.calls].load() < 20 * trial) {
            static_cast<void>(wait_for(never, Deadline::after(microseconds(50 + 7 * trial))));
        }
        EXPECT_OK(child.kill());
        called += child.words()[at.calls].load();
    }
    // Servers may still answer an orphan.
    for (unsigned i = 0; i < 1000 && bench.free() != slots; ++i) {
        static_cast<void>(wait_for(never, Deadline::after(milliseconds(1))));
    }
    EXPECT_EQ(bench.free(), slots);
}

}  // namespace annulus::test
