// SPDX-License-Identifier: MIT
// Timers that come late: a wait's deadline passes while its unit is on the way, and the thread has
// begun another wait when the timer gets there.

#include "runtime/clock.h"
#include "tests/abi/semaphore/words.h"
#include "tests/guest/threads.h"

namespace annulus::test::cases {
namespace {

constexpr unsigned rounds = 3000;
constexpr Duration patience = microseconds(200);

// What a waiter and its peer share.
struct Pair {
    Semaphore soon, back, later, never;
    std::atomic<uint64_t> at{0};  // when the peer signals; 0: not yet known
    std::atomic<uint64_t> wrong{0}, timed_out{0};

    static Result<void> make(const Context& test, Pair& pair) {
        pair.soon = TRY(make_semaphore(test, abi::semaphore_binary, 0));
        pair.back = TRY(make_semaphore(test, abi::semaphore_counting, 0));
        pair.later = TRY(make_semaphore(test, abi::semaphore_counting, 0));
        pair.never = TRY(make_semaphore(test, abi::semaphore_counting, 0));
        return {};
    }
};

// This wait's timer and the waiter's are due at about the same time. The signal hands the CPU on:
// so the waiter goes on while its own CPU is still busy with the timer.
void signal_in_time(Pair& pair) {
    for (unsigned round = 0; round < rounds; ++round) {
        uint64_t at;
        while ((at = pair.at.exchange(0)) == 0) {
            static_cast<void>(wait_for(pair.never, Deadline::after(microseconds(5))));
        }
        static_cast<void>(system::wait(pair.never.value(), 0, at - round % 64 * 2000));
        const auto handed =
            system::signal_and_wait(pair.soon.value(), pair.back.value(), 0, abi::deadline_never);
        if (!handed.status.ok() || !signal(pair.later).ok()) pair.wrong.fetch_add(1);
    }
}

// Without a deadline.
Status second_wait(const Pair& pair, bool for_one) {
    if (for_one) {
        return system::signal_and_wait(pair.back.value(), pair.later.value(), 0,
                                       abi::deadline_never)
            .status;
    }
    const abi::WaitEntry entries[] = {{pair.never.value(), 0}, {pair.later.value(), 0}};
    if (const auto told = signal(pair.back); !told.ok()) return told.status();
    return system::wait_any(entries, 2, abi::deadline_never).status;
}

void wait_in_time(Pair& pair) {
    for (unsigned round = 0; round < rounds; ++round) {
        const uint64_t at = now() + patience.nanoseconds;
        pair.at = at;
        const auto first = wait_for(pair.soon, Deadline{at});
        if (!first.ok()) pair.timed_out.fetch_add(1);
        if (!second_wait(pair, round % 2 == 0).ok()) pair.wrong.fetch_add(1);
        static_cast<void>(wait_for(pair.soon, Deadline::poll()));
    }
}

}  // namespace
}  // namespace annulus::test::cases

TEST(late_timers, "a deadline that comes with the unit does not end the next wait") {
    Pair pairs[2];
    Crew<4> crew;
    for (Pair& pair : pairs) {
        EXPECT_OK(Pair::make(test, pair));
        EXPECT_OK(crew.add([&pair] { signal_in_time(pair); }));
        EXPECT_OK(crew.add([&pair] { wait_in_time(pair); }));
    }
    EXPECT_OK(crew.join());
    uint64_t timed_out = 0;
    for (const Pair& pair : pairs) {
        EXPECT_EQ(pair.wrong.load(), 0);
        timed_out += pair.timed_out.load();
    }
    report_count("waits ended by their timer", timed_out);
}
