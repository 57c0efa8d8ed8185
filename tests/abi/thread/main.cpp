// SPDX-License-Identifier: MIT
// Threads: making them, their priorities, CPUs and time slices.

#include "abi/names.h"
#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/semaphore.h"
#include "tests/guest/child.h"
#include "tests/guest/harness.h"
#include "tests/guest/threads.h"

#include <string.h>

const char* const annulus::test::suite = "thread";

namespace annulus::test::cases {
namespace {

constexpr ThreadOptions at(unsigned priority) {
    return {.stack_pages = 8, .priority = priority, .affinity = 1};
}

Result<Semaphore> make_semaphore(const Context& test, uint64_t initial = 0) {
    return test.budget().create_semaphore(abi::semaphore_counting, initial, MemoryReference(), 0);
}

// The number of CPUs, from the affinities that are accepted.
unsigned cpus_seen_by(ThreadReference thread) {
    unsigned count = 0;
    for (unsigned i = 0; i < abi::cpus_max; ++i) {
        if (thread.set_affinity(uint64_t{1} << i).ok()) ++count;
    }
    static_cast<void>(thread.set_affinity(0));
    return count;
}

void spin_until(const std::atomic<bool>& stop, std::atomic<uint64_t>& turns) {
    while (!stop.load(std::memory_order_relaxed)) turns.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace
}  // namespace annulus::test::cases

TEST(arguments, "a thread needs an address of user memory, a priority up to the ceiling, a CPU") {
    const ProcessReference process = test.process();
    const auto entry = reinterpret_cast<uint64_t>(&spin_until);
    EXPECT_ERROR(process.create_thread(0, 0, 0, 0, 32, 0), Error::bad_argument);
    EXPECT_ERROR(process.create_thread(abi::user_end, 0, 0, 0, 32, 0), Error::bad_argument);
    EXPECT_ERROR(process.create_thread(0xffff800000000000, 0, 0, 0, 32, 0), Error::bad_argument);
    EXPECT_ERROR(process.create_thread(entry, 0, 0, abi::user_end, 32, 0), Error::bad_argument);
    EXPECT_ERROR(process.create_thread(entry, 0, 0, 0, 64, 0), Error::bad_argument);
    EXPECT_ERROR(process.create_thread(entry, 0, 0, 0, ~uint64_t{0}, 0), Error::bad_argument);
    EXPECT_ERROR(process.create_thread(entry, 0, 0, 0, 32, uint64_t{1} << 63), Error::bad_argument);
}

TEST(exits, "a thread's exit code and reason can be read, and its exit watch fires once") {
    EXPECT_OK(on_one_cpu([&] {
        const auto watch = MUST(make_semaphore(test));
        Crew<1> crew;
        EXPECT_OK(crew.add([] { system::exit(0x1234567890); }, eager));
        EXPECT_OK(crew[0].watch_exit(watch));
        const auto state = MUST(crew[0].get_state());
        EXPECT_EQ(state.reason, abi::EndReason::exited);
        EXPECT_EQ(state.exit_code, 0x1234567890);
        EXPECT_EQ(MUST(watch.get_state()).value, 1);
        EXPECT_ERROR(crew[0].set_resume(), Error::wrong_state);
        EXPECT_ERROR(crew[0].get_registers(), Error::wrong_state);
        EXPECT_OK(crew[0].remove_kill(1));
        EXPECT_EQ(MUST(crew[0].get_state()).exit_code, 0x1234567890);
        EXPECT_OK(crew.join());
    }));
}

TEST(priorities, "the highest ready priority runs, and preempts a lower one at once") {
    EXPECT_OK(on_one_cpu([&] {
        const auto go = MUST(make_semaphore(test));
        std::atomic<unsigned> order = 0;
        unsigned turn[4] = {};
        Crew<4> crew;
        const unsigned priorities[] = {21, 35, 10, 30};
        for (unsigned i = 0; i < 4; ++i) {
            EXPECT_OK(crew.add(
                [&, i] {
                    if (wait_for(go).ok()) turn[i] = ++order;
                },
                at(priorities[i])));
        }
        // The one of 10 has not even begun: it is queued behind the others.
        EXPECT_OK(signal(go, 4));
        EXPECT_EQ(turn[1], 1);
        EXPECT_EQ(turn[3], 2);
        EXPECT_EQ(turn[0], 3);
        EXPECT_EQ(turn[2], 0);
        EXPECT_OK(crew.join());
        EXPECT_EQ(turn[2], 4);
    }));
}

TEST(changed_priority, "a changed priority counts at once, and not above the budget's ceiling") {
    EXPECT_OK(on_one_cpu([&] {
        std::atomic<unsigned> ran = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add([&] { ++ran; }, patient));
        EXPECT_EQ(ran.load(), 0);
        EXPECT_ERROR(crew[0].set_priority(64), Error::bad_argument);
        EXPECT_OK(crew[0].set_priority(19));
        EXPECT_EQ(ran.load(), 0);
        EXPECT_OK(crew[0].set_priority(21));
        EXPECT_EQ(ran.load(), 1);
        EXPECT_OK(crew.join());
    }));
}

TEST(woken_preempts, "a timer wakes a higher priority in the middle of a lower one's loop") {
    EXPECT_OK(on_one_cpu([&] {
        const auto never = MUST(make_semaphore(test));
        std::atomic<bool> woken = false;
        std::atomic<uint64_t> turns = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                static_cast<void>(wait_for(never, Deadline::after(milliseconds(5))));
                woken = true;
            },
            eager));
        const uint64_t limit = now() + seconds(10).nanoseconds;
        while (!woken.load() && now() < limit) ++turns;
        EXPECT(woken.load());
        EXPECT_OK(crew.join());
    }));
}

TEST(time_slices, "threads of one priority share a CPU although none of them gives way") {
    constexpr unsigned threads = 3;
    EXPECT_OK(on_one_cpu([&] {
        std::atomic<bool> stop = false;
        std::atomic<uint64_t> turns[threads] = {};
        Crew<threads> crew;
        for (unsigned i = 0; i < threads; ++i) {
            EXPECT_OK(crew.add([&, i] { spin_until(stop, turns[i]); }, patient));
        }
        const auto never = MUST(make_semaphore(test));
        static_cast<void>(wait_for(never, Deadline::after(milliseconds(150))));
        stop = true;
        EXPECT_OK(crew.join());
        uint64_t least = ~uint64_t{0};
        uint64_t most = 0;
        for (const auto& count : turns) {
            least = count.load() < least ? count.load() : least;
            most = count.load() > most ? count.load() : most;
        }
        EXPECT(least > 0);
        report_count("slice_least", least);
        report_count("slice_most", most);
    }));
}

TEST(slices_are_kept, "threads share a CPU also when a more urgent one often comes by") {
    EXPECT_OK(on_one_cpu([&] {
        std::atomic<bool> stop = false;
        std::atomic<uint64_t> turns[2] = {};
        Crew<2> crew;
        for (auto& count : turns) EXPECT_OK(crew.add([&] { spin_until(stop, count); }, patient));
        const auto never = MUST(make_semaphore(test));
        const uint64_t end = now() + milliseconds(200).nanoseconds;
        while (now() < end) {
            static_cast<void>(wait_for(never, Deadline::after(microseconds(300))));
        }
        stop = true;
        EXPECT_OK(crew.join());
        EXPECT(turns[0].load() != 0);
        EXPECT(turns[1].load() != 0);
    }));
}

TEST(slices_after_waits, "equals share a CPU also when somebody more urgent gave it up in a wait") {
    EXPECT_OK(on_one_cpu([&] {
        const auto semaphore = MUST(make_semaphore(test));
        std::atomic<bool> stop = false;
        bool stopped = false;
        Crew<2> crew;
        EXPECT_OK(crew.add(
            [&] {
                static_cast<void>(signal(semaphore));
                const uint64_t end = now() + milliseconds(1000).nanoseconds;
                while (!stop.load() && now() < end) {
                }
                stopped = stop.load();
            },
            patient));
        EXPECT_OK(crew.add(
            [&] {
                stop = true;
                static_cast<void>(signal(semaphore));
            },
            patient));
        // The first thread was interrupted in its signal, and goes on when this one waits again.
        EXPECT_OK(wait_for(semaphore));
        EXPECT_OK(wait_for(semaphore));
        EXPECT_OK(crew.join());
        EXPECT(stopped);
    }));
}

TEST(affinity, "a thread runs on the CPUs of its mask only, also when that changes") {
    // A thread pinned to CPU 0 below a spinning one makes no progress; on another CPU it does.
    std::atomic<bool> stop = false;
    std::atomic<uint64_t> spun = 0;
    std::atomic<uint64_t> turns = 0;
    Crew<2> crew;
    EXPECT_OK(crew.add([&] { spin_until(stop, turns); }, at(30)));
    const unsigned cpus = cpus_seen_by(crew[0]);
    EXPECT_OK(crew[0].set_affinity(1));
    EXPECT_ERROR(crew[0].set_affinity(uint64_t{1} << cpus), Error::bad_argument);
    report_count("cpus", cpus);
    if (cpus == 1) {
        stop = true;
        return;
    }
    EXPECT_OK(crew.add([&] { spin_until(stop, spun); }, at(29)));
    const auto never = MUST(make_semaphore(test));
    const auto rest = [&] {
        static_cast<void>(wait_for(never, Deadline::after(milliseconds(20))));
    };
    // A change of the mask counts at the thread's next entry to the kernel.
    const auto stands_still = [&] {
        rest();
        const uint64_t stopped = spun.load();
        rest();
        EXPECT_EQ(spun.load(), stopped);
    };
    stands_still();
    const uint64_t before = spun.load();
    EXPECT_OK(crew[1].set_affinity(2));
    for (unsigned i = 0; i < 200 && spun.load() == before; ++i) rest();
    EXPECT(spun.load() != before);
    EXPECT_OK(crew[1].set_affinity(1));
    stands_still();
    stop = true;
    EXPECT_OK(crew.join());
}

TEST(wakes_spread, "threads that are woken at once go to different CPUs while some are idle") {
    constexpr uint64_t second_cpu = 2;
    constexpr uint64_t third_cpu = 4;
    if (!start_thread([] {}, {.stack_pages = 8, .affinity = third_cpu}).ok()) return;
    for (unsigned round = 0; round < 10; ++round) {
        const auto first = MUST(make_semaphore(test));
        const auto second = MUST(make_semaphore(test));
        std::atomic<bool> second_ran = false;
        bool in_time = false;
        Crew<2> crew;
        EXPECT_OK(crew.add(
            [&] {
                if (!wait_for(first).ok()) return;
                const uint64_t end = now() + seconds(2).nanoseconds;
                while (!second_ran.load() && now() < end) {
                }
                in_time = second_ran.load();
            },
            {.stack_pages = 8, .priority = 40, .affinity = second_cpu}));
        EXPECT_OK(crew.add([&] { second_ran = wait_for(second).ok(); },
                           {.stack_pages = 8, .priority = 20, .affinity = second_cpu}));
        // Both wait where they ran last, and may go anywhere from there.
        const auto never = MUST(make_semaphore(test));
        static_cast<void>(wait_for(never, Deadline::after(milliseconds(2))));
        for (unsigned i = 0; i < 2; ++i) EXPECT_OK(crew[i].set_affinity(0));
        EXPECT_OK(signal(first));
        EXPECT_OK(signal(second));
        // Not idle: a CPU that has nothing to do any more looks at the others.
        const uint64_t end = now() + seconds(2).nanoseconds;
        while (!second_ran.load() && now() < end) {
        }
        EXPECT_OK(crew.join());
        EXPECT(in_time);
    }
}

TEST(displaced, "a thread that must make way goes on on a CPU that has nothing to do") {
    constexpr uint64_t second_cpu = 2;
    if (!start_thread([] {}, {.stack_pages = 8, .affinity = second_cpu}).ok()) return;
    std::atomic<bool> stop = false;
    std::atomic<uint64_t> turns = 0;
    const auto never = MUST(make_semaphore(test));
    bool went_on = false;
    Crew<2> crew;
    EXPECT_OK(crew.add([&] { spin_until(stop, turns); },
                       {.stack_pages = 8, .priority = 20, .affinity = second_cpu}));
    EXPECT_OK(crew.add(
        [&] {
            static_cast<void>(wait_for(never, Deadline::after(milliseconds(20))));
            const uint64_t before = turns.load();
            const uint64_t end = now() + seconds(2).nanoseconds;
            while (turns.load() == before && now() < end) {
            }
            went_on = turns.load() != before;
            stop = true;
        },
        {.stack_pages = 8, .priority = 40, .affinity = second_cpu}));
    // It stays where it is until it must make way; this thread's CPU is idle then.
    static_cast<void>(wait_for(never, Deadline::after(milliseconds(2))));
    EXPECT_OK(crew[0].set_affinity(0));
    EXPECT_OK(crew.join());
    EXPECT(went_on);
}

TEST(many, "threads come and go without a trace in the ledger") {
    const auto round = [&] {
        Crew<32> crew;
        for (unsigned i = 0; i < 32; ++i) EXPECT_OK(crew.add([] {}, {.stack_pages = 4}));
        EXPECT_OK(crew.join());
    };
    // What the program and the kernel make once, they keep.
    round();
    const auto before = MUST(test.budget().get_ledger());
    for (unsigned i = 0; i < 20; ++i) round();
    const uint64_t limit = now() + seconds(5).nanoseconds;
    auto after = MUST(test.budget().get_ledger());
    while (memcmp(after.used, before.used, sizeof(after.used)) != 0 && now() < limit) {
        after = MUST(test.budget().get_ledger());
    }
    for (unsigned i = 0; i < abi::resource_count; ++i) {
        if (after.used[i] == before.used[i]) continue;
        test.fail("{} went from {} to {}", abi::name_of(static_cast<abi::Resource>(i)),
                  before.used[i], after.used[i]);
    }
}

TEST(exit_once, "whoever watches for a thread's end while it ends gets one unit, and no more") {
    constexpr unsigned threads = 3'000;
    const Semaphore ended = MUST(make_semaphore(test));
    for (unsigned i = 0; i < threads; ++i) {
        auto thread = MUST(start_thread([] {}));
        // By some steps more each time, so that they meet in between.
        for (unsigned step = 0; step < i % 211; ++step) __builtin_ia32_pause();
        EXPECT_OK(thread.handle().watch_exit(ended));
        EXPECT_OK(thread.join());
        EXPECT_OK(wait_for(ended, Deadline::after(seconds(5))));
    }
    // What would come twice comes at once.
    EXPECT_ERROR(wait_for(ended, Deadline::after(milliseconds(20))), Error::timed_out);
}
