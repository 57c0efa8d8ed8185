// SPDX-License-Identifier: MIT
// Many operations on all CPUs: units in are units out, also when threads are killed in the middle.

#include "runtime/clock.h"
#include "tests/abi/semaphore/words.h"
#include "tests/guest/child.h"
#include "tests/guest/threads.h"

namespace annulus::test::cases {
namespace {

constexpr unsigned pairs = 2;
constexpr uint64_t rounds = 125'000;  // of each thread: 1,000,000 operations in all

// Words of the killed child: what it holds, then what it did.
enum Place : unsigned { semaphore_handle, ups, downs, user_word };

void churn(Child::Word* words) {
    const abi::Handle handle = words[semaphore_handle].load();
    auto& word = words[user_word];
    for (;;) {
        // Killed anywhere in here: between the operation and its note at most one is missing.
        if (semaphore_protocol::up<KernelSemaphores>(word, handle).ok()) words[ups].fetch_add(1);
        if (semaphore_protocol::down<KernelSemaphores>(word, handle, abi::deadline_never).ok()) {
            words[downs].fetch_add(1);
        }
    }
}

}  // namespace
}  // namespace annulus::test::cases

TEST(stress_units, "a million operations in user mode and the kernel: units in are units out") {
    const Word word = MUST(Word::create(test));
    auto forth = CountingSemaphore::attach(MUST(word.semaphore(test, abi::semaphore_counting, 0)),
                                           &word.at(0));
    auto back = CountingSemaphore::attach(MUST(word.semaphore(test, abi::semaphore_counting, 64)),
                                          &word.at(64));
    std::atomic<uint64_t> errors = 0;
    Crew<2 * pairs> crew;
    for (unsigned i = 0; i < pairs; ++i) {
        EXPECT_OK(crew.add([&] {
            for (uint64_t k = 0; k < rounds; ++k) {
                if (!forth.up().ok() || !back.down().ok()) errors.fetch_add(1);
            }
        }));
        EXPECT_OK(crew.add([&] {
            for (uint64_t k = 0; k < rounds; ++k) {
                if (!forth.down().ok() || !back.up().ok()) errors.fetch_add(1);
            }
        }));
    }
    EXPECT_OK(crew.join());
    EXPECT_EQ(errors.load(), 0);
    EXPECT_EQ(word.at(0).load(), 0);
    EXPECT_EQ(word.at(64).load(), 0);
    report_count("stress_operations", 2 * pairs * rounds * 2);
}

TEST(stress_time_outs, "time-outs that race signals lose no unit") {
    constexpr unsigned takers = 3;
    constexpr uint64_t units = 20'000;
    const auto semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    std::atomic<uint64_t> taken = 0;
    std::atomic<uint64_t> timed_out = 0;
    std::atomic<bool> stop = false;
    Crew<takers> crew;
    for (unsigned i = 0; i < takers; ++i) {
        EXPECT_OK(crew.add([&, i] {
            for (uint64_t k = 0; !stop.load(); ++k) {
                const Deadline deadline = {now() + 1'000 * (k % (20 + i))};
                (wait_for(semaphore, deadline).ok() ? taken : timed_out).fetch_add(1);
            }
        }));
    }
    const auto never = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    for (uint64_t i = 0; i < units; ++i) {
        EXPECT_OK(signal(semaphore));
        if (i % 16 == 0) static_cast<void>(wait_for(never, Deadline{now() + 20'000}));
    }
    stop = true;
    EXPECT_OK(crew.join());
    EXPECT_EQ(taken.load() + MUST(semaphore.get_state()).value, units);
    report_count("stress_timed_out", timed_out.load());
}

TEST(stress_kills, "processes killed in the middle of operations leave a semaphore in order") {
    const auto never = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    uint64_t operations = 0;
    for (unsigned trial = 0; trial < 20; ++trial) {
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
        const auto semaphore = MUST(test.budget().create_semaphore(
            abi::semaphore_counting, 0, child.memory(), user_word * sizeof(Child::Word)));
        auto& word = child.words()[user_word];
        child.words()[semaphore_handle] = MUST(child.lend(semaphore));
        for (unsigned i = 0; i < 3; ++i) EXPECT_OK(child.start(churn));
        while (child.words()[downs].load() < 50 * trial) {
            EXPECT_OK(signal(semaphore));
            EXPECT_OK(wait_for(semaphore));
            // The test is more urgent than the child: without this it would run alone on one CPU.
            static_cast<void>(wait_for(never, Deadline::after(microseconds(100))));
        }
        EXPECT_OK(child.kill());
        // Each of the three can have been killed between an operation and its note.
        const uint64_t in = child.words()[ups].load();
        const uint64_t out = child.words()[downs].load() + word.load();
        EXPECT(in + 3 >= out && out + 3 >= in);
        EXPECT_EQ(word.load() & semaphore_protocol::kernel_bit, 0);
        operations += in + child.words()[downs].load();
        EXPECT_OK(signal(semaphore));
        EXPECT_OK(wait_for(semaphore, Deadline::poll()));
    }
    report_count("stress_killed_operations", operations);
}
