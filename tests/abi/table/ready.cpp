// SPDX-License-Identifier: MIT
// Threads that a signal made ready, while calls and answers go from thread to thread beside them.

#include "runtime/clock.h"
#include "tests/abi/table/bench.h"
#include "tests/guest/child.h"

namespace annulus::test::cases {
namespace {

constexpr ThreadOptions at(unsigned priority) { return {.stack_pages = 8, .priority = priority}; }

// Spins until `flag`, and says whether it came in good time.
bool comes(const std::atomic<uint64_t>& flag, uint64_t value) {
    const uint64_t end = now() + seconds(2).nanoseconds;
    while (flag.load() != value && now() < end) {
    }
    return flag.load() == value;
}

// A server thread that signals `bell` in each request, before it answers, and a thread that waits
// for the bell and counts. `turns` is how often the client found that thread in good time, when its
// call had returned.
void signal_and_answer(Context& test, unsigned woken_priority, unsigned& turns) {
    const auto bench = MUST(TableBench::create(test, 4));
    const auto bell = MUST(make_semaphore(test));
    std::atomic<uint64_t> woken = 0;
    Crew<3> crew;
    EXPECT_OK(crew.add(
        [&] {
            while (wait_for(bell).ok() && woken.fetch_add(1) < 4) {
            }
        },
        at(woken_priority)));
    EXPECT_OK(crew.add(
        [&] {
            serve(bench.table.value(), [&](const system::Delivery&) {
                static_cast<void>(signal(bell));
                return system::Reply{};
            });
        },
        at(40)));
    EXPECT_OK(crew.add(
        [&] {
            for (unsigned i = 1; i <= 5; ++i) {
                EXPECT_OK(call(bench.object, op_get).status);
                if (comes(woken, i)) ++turns;
            }
            EXPECT_OK(bench.table.shutdown_fault(0));
        },
        at(20)));
    EXPECT_OK(crew.join());
}

}  // namespace
}  // namespace annulus::test::cases

TEST(answer_passes_nobody,
     "who was signalled before an answer runs before a less urgent client that gets it") {
    unsigned turns = 0;
    signal_and_answer(test, 30, turns);
    EXPECT_EQ(turns, 5);
}

TEST(answer_shares, "who was signalled before an answer shares the CPU with an equal client") {
    unsigned turns = 0;
    signal_and_answer(test, 20, turns);
    EXPECT_EQ(turns, 5);
}
