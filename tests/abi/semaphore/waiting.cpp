// SPDX-License-Identifier: MIT
// Waiting for semaphores: order, deadlines, many waiters, hand-off.

#include "runtime/clock.h"
#include "tests/abi/semaphore/words.h"
#include "tests/guest/threads.h"

namespace annulus::test::cases {
namespace {

constexpr uint64_t kernel_bit = semaphore_protocol::kernel_bit;

}  // namespace
}  // namespace annulus::test::cases

TEST(first_come, "waiters of a semaphore are served in the order in which they came") {
    EXPECT_OK(on_one_cpu([&] {
        const auto semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        std::atomic<unsigned> next = 0;
        unsigned turn[8] = {};
        Crew<8> crew;
        for (unsigned i = 0; i < 8; ++i) {
            EXPECT_OK(crew.add(
                [&, i] {
                    if (wait_for(semaphore).ok()) turn[i] = ++next;
                },
                eager));
        }
        for (unsigned i = 0; i < 8; ++i) {
            EXPECT_OK(signal(semaphore));
            EXPECT_EQ(turn[i], i + 1);
        }
        EXPECT_OK(crew.join());
    }));
}

TEST(kernel_bit, "bit 63 of the word is set while somebody is queued, and only then") {
    EXPECT_OK(on_one_cpu([&] {
        const Word word = MUST(Word::create(test));
        const auto semaphore = MUST(word.semaphore(test, abi::semaphore_counting, 0));
        Crew<3> crew;
        for (unsigned i = 0; i < 2; ++i) {
            EXPECT_OK(crew.add([&] { EXPECT_OK(wait_for(semaphore)); }, eager));
            EXPECT_EQ(word.at(0).load(), kernel_bit);
        }
        EXPECT_OK(signal(semaphore));
        EXPECT_EQ(word.at(0).load(), kernel_bit);
        EXPECT_OK(signal(semaphore));
        EXPECT_EQ(word.at(0).load(), 0);
        const Deadline soon = Deadline::after(milliseconds(1));
        EXPECT_ERROR(wait_for(semaphore, soon), Error::timed_out);
        EXPECT_EQ(word.at(0).load(), 0);
        EXPECT_OK(crew.join());
    }));
}

TEST(timed_out_takes_nothing, "a wait that timed out takes no unit, then or later") {
    const auto semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    for (int i = 0; i < 20; ++i) {
        const uint64_t end = now() + 200'000;
        EXPECT_ERROR(wait_for(semaphore, Deadline{end}), Error::timed_out);
        EXPECT(now() >= end);
    }
    EXPECT_OK(signal(semaphore));
    EXPECT_EQ(MUST(semaphore.get_state()).value, 1);
    EXPECT_OK(wait_for(semaphore, Deadline::poll()));
}

TEST(past_deadline, "what can be had at once is had, even if the deadline is long past") {
    const auto semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 1));
    EXPECT_OK(wait_for(semaphore, Deadline{1}));
    EXPECT_ERROR(wait_for(semaphore, Deadline{1}), Error::timed_out);
    EXPECT_ERROR(wait_for(semaphore, Deadline::poll()), Error::timed_out);
}

TEST(time_out_in_queue, "a waiter that times out in the middle of the queue passes no unit by") {
    EXPECT_OK(on_one_cpu([&] {
        const auto semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        std::atomic<unsigned> served = 0;
        std::atomic<unsigned> timed_out = 0;
        const Deadline soon = Deadline::after(milliseconds(3));
        Crew<3> crew;
        for (unsigned i = 0; i < 3; ++i) {
            const Deadline deadline = i == 1 ? soon : Deadline::never();
            EXPECT_OK(crew.add(
                [&, deadline] {
                    (wait_for(semaphore, deadline).ok() ? served : timed_out).fetch_add(1);
                },
                eager));
        }
        const auto never = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        EXPECT_ERROR(wait_for(never, Deadline::after(milliseconds(6))), Error::timed_out);
        EXPECT_EQ(timed_out.load(), 1);
        EXPECT_OK(signal(semaphore, 2));
        EXPECT_OK(crew.join());
        EXPECT_EQ(served.load(), 2);
        EXPECT_EQ(MUST(semaphore.get_state()).value, 0);
    }));
}

TEST(kill_in_queue, "a waiter that is killed takes no unit and leaves the queue in order") {
    EXPECT_OK(on_one_cpu([&] {
        const Word word = MUST(Word::create(test));
        const auto semaphore = MUST(word.semaphore(test, abi::semaphore_counting, 0));
        std::atomic<unsigned> served = 0;
        Crew<3> crew;
        for (unsigned i = 0; i < 3; ++i) {
            EXPECT_OK(crew.add(
                [&] {
                    if (wait_for(semaphore).ok()) served.fetch_add(1);
                },
                eager));
        }
        EXPECT_OK(crew[1].remove_kill(5));
        EXPECT_OK(signal(semaphore));
        EXPECT_EQ(served.load(), 1);
        EXPECT_OK(signal(semaphore));
        EXPECT_EQ(served.load(), 2);
        EXPECT_EQ(word.at(0).load(), 0);
        EXPECT_OK(crew.join());
    }));
}

TEST(exactly_n, "n units wake exactly n of 200 waiters, in one signal or in many") {
    constexpr unsigned waiters = 200;
    const auto semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    const auto woken = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    Crew<waiters> crew;
    for (unsigned i = 0; i < waiters; ++i) {
        EXPECT_OK(crew.add(
            [&] {
                if (wait_for(semaphore).ok()) static_cast<void>(signal(woken));
            },
            {.stack_pages = 4}));
    }
    unsigned left = waiters;
    for (const unsigned units : {1u, 2u, 63u, 64u}) {
        EXPECT_OK(signal(semaphore, units));
        for (unsigned i = 0; i < units; ++i) EXPECT_OK(wait_for(woken));
        EXPECT_ERROR(wait_for(woken, Deadline::after(milliseconds(2))), Error::timed_out);
        EXPECT_EQ(MUST(semaphore.get_state()).value, 0);
        left -= units;
    }
    EXPECT_OK(signal(semaphore, left + 3));
    EXPECT_OK(crew.join());
    EXPECT_EQ(MUST(woken.get_state()).value, left);
    EXPECT_EQ(MUST(semaphore.get_state()).value, 3);
}

TEST(beyond_one_chunk, "more than 64 waiters are woken although their signaller goes on") {
    constexpr unsigned waiters = 100;
    for (const uint64_t mode : {abi::semaphore_counting, abi::semaphore_sequence}) {
        EXPECT_OK(on_one_cpu([&] {
            const auto semaphore = MUST(make_semaphore(test, mode, 0));
            std::atomic<unsigned> woken = 0;
            Crew<waiters> crew;
            for (unsigned i = 0; i < waiters; ++i) {
                EXPECT_OK(
                    crew.add([&] { woken.fetch_add(wait_for(semaphore).ok() ? 1 : 1000); }, eager));
            }
            EXPECT_OK(signal(semaphore, waiters));
            EXPECT_EQ(woken.load(), waiters);
            EXPECT_OK(signal(semaphore, waiters));
            EXPECT_OK(crew.join());
        }));
    }
}

TEST(units_owed, "units that are still being handed out count towards the limit") {
    constexpr unsigned waiters = 80;
    EXPECT_OK(on_one_cpu([&] {
        const auto semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        Crew<waiters> crew;
        for (unsigned i = 0; i < waiters; ++i) {
            EXPECT_OK(crew.add([&] { static_cast<void>(wait_for(semaphore)); },
                               {.stack_pages = 4, .priority = 40, .affinity = 1}));
        }
        uint64_t accepted = 0;
        for (int i = 0; i < 4; ++i) {
            if (signal(semaphore, abi::semaphore_max / 2 + 40).ok()) ++accepted;
        }
        EXPECT_OK(crew.join());
        EXPECT_EQ(MUST(semaphore.get_state()).value,
                  accepted * (abi::semaphore_max / 2 + 40) - waiters);
        EXPECT(MUST(semaphore.get_state()).value <= abi::semaphore_max);
    }));
}

TEST(sequence_wakes_all, "a sequence that moves on wakes all of 150 waiters, none twice") {
    constexpr unsigned waiters = 150;
    const auto sequence = MUST(make_semaphore(test, abi::semaphore_sequence, 0));
    const auto woken = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    std::atomic<unsigned> wrong = 0;
    Crew<waiters> crew;
    for (unsigned i = 0; i < waiters; ++i) {
        EXPECT_OK(crew.add(
            [&] {
                for (uint64_t seen = 0; seen < 3;) {
                    const auto value = wait_for(sequence, Deadline::never(), seen);
                    if (!value.ok() || *value <= seen) wrong.fetch_add(1);
                    seen = value.value_or(3);
                    static_cast<void>(signal(woken));
                }
            },
            {.stack_pages = 4}));
    }
    for (unsigned round = 0; round < 3; ++round) {
        EXPECT_OK(signal(sequence));
        for (unsigned i = 0; i < waiters; ++i) EXPECT_OK(wait_for(woken));
    }
    EXPECT_OK(crew.join());
    EXPECT_EQ(wrong.load(), 0);
    EXPECT_EQ(MUST(woken.get_state()).value, 0);
}

TEST(binary_wakes_one, "a binary signal wakes one waiter, and is not kept for another") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bell = MUST(make_semaphore(test, abi::semaphore_binary, 0));
        std::atomic<unsigned> woken = 0;
        Crew<2> crew;
        for (unsigned i = 0; i < 2; ++i) {
            EXPECT_OK(crew.add([&] { woken.fetch_add(wait_for(bell).ok() ? 1 : 100); }, eager));
        }
        EXPECT_OK(signal(bell));
        EXPECT_EQ(woken.load(), 1);
        EXPECT_EQ(MUST(bell.get_state()).value, 0);
        EXPECT_OK(signal(bell));
        EXPECT_OK(crew.join());
        EXPECT_EQ(woken.load(), 2);
    }));
}

TEST(signal_and_wait, "signal_and_wait signals before it waits, and the woken one runs at once") {
    EXPECT_OK(on_one_cpu([&] {
        const auto ping = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        const auto pong = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        constexpr unsigned rounds = 1000;
        std::atomic<unsigned> answered = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                static_cast<void>(wait_for(ping));
                for (unsigned i = 1; i <= rounds; ++i) {
                    answered = i;
                    if (i == rounds) break;
                    static_cast<void>(system::signal_and_wait(pong.value(), ping.value(), 0,
                                                              abi::deadline_never));
                }
                static_cast<void>(signal(pong));
            },
            {.stack_pages = 8, .priority = 20, .affinity = 1}));
        for (unsigned i = 1; i <= rounds; ++i) {
            EXPECT_OK(
                system::signal_and_wait(ping.value(), pong.value(), 0, abi::deadline_never).status);
            EXPECT_EQ(answered.load(), i);
        }
        EXPECT_OK(crew.join());
    }));
}

TEST(signal_and_wait_alone, "signal_and_wait on one semaphore takes its own unit back") {
    const auto semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    const abi::Handle handle = semaphore.value();
    EXPECT_OK(system::signal_and_wait(handle, handle, 0, abi::deadline_never).status);
    EXPECT_EQ(MUST(semaphore.get_state()).value, 0);
    const auto full = MUST(make_semaphore(test, abi::semaphore_counting, abi::semaphore_max));
    EXPECT_ERROR(system::signal_and_wait(full.value(), handle, 0, 0).status, Error::limit);
}
