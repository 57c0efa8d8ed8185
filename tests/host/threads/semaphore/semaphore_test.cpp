// SPDX-License-Identifier: MIT
// Semaphores used by several CPUs at once: no unit is lost or doubled, and nobody oversleeps.
//
// Programs use the word as the runtime does. One more thread cancels waits all the time.
#include "kernel/object/semaphore.h"

#include "runtime/semaphore_protocol.h"
#include "tests/support/kernel_crowd.h"

#include <gtest/gtest.h>

#include <sched.h>

#include <functional>
#include <random>
#include <vector>

namespace annulus::kernel {
namespace {

using test::InKernel;
using test::MachineThread;

MachineThread& me() { return test::KernelCrowd::me(); }

// The kernel, as the runtime's protocol calls it.
struct HostKernel {
    struct Answer {
        Status status;
        uint64_t value;
    };
    static Answer wait(abi::Handle semaphore, uint64_t seen, uint64_t deadline) {
        const Status status = me().wait(semaphore, deadline, seen);
        return {status, me().message().rdx};
    }
    static Status signal(abi::Handle semaphore, uint64_t units) {
        return me().signal(semaphore, units);
    }
};

struct Made : test::KernelMachine::Made {
    // The word, as a program maps it.
    std::atomic<uint64_t>& word() const {
        return *reinterpret_cast<std::atomic<uint64_t>*>(semaphore.word_address());
    }
    void up() const { ASSERT_TRUE(semaphore_protocol::up<HostKernel>(word(), handle).ok()); }
    void ring() const { ASSERT_TRUE(semaphore_protocol::ring<HostKernel>(word(), handle).ok()); }
    // Until it has a unit, however often the wait is cancelled.
    void down(uint64_t deadline = abi::deadline_never) const {
        while (!semaphore_protocol::down<HostKernel>(word(), handle, deadline).ok()) {
        }
    }
};

class SemaphoreThreads : public testing::Test {
protected:
    Made make(SemaphoreMode mode) {
        const uint64_t offset = words++ * sizeof(uint64_t);
        return {machine.make_semaphore(mode, 0, page.get(), offset)};
    }

    void run(const std::vector<std::function<void()>>& bodies) { crowd.run(bodies); }

    static Ref<MemoryObject> make_page(Budget& budget) {
        auto made = MemoryObject::create(budget, 1, 0).value();
        uint64_t done = 0;
        while (done < abi::page_size) EXPECT_TRUE(made->commit_some(done, abi::page_size).ok());
        return made;
    }

    test::KernelMachine machine;
    test::KernelCrowd crowd{machine};
    Ref<MemoryObject> page = make_page(machine.root());
    uint64_t words = 0;
};

TEST_F(SemaphoreThreads, UnitsAreNeitherLostNorDoubled) {
    constexpr unsigned rounds = 10'000;
    const Made units = make(SemaphoreMode::counting);
    const auto giver = [&](unsigned seed) {
        std::mt19937 random(seed);
        for (unsigned left = rounds; left > 0;) {
            const unsigned many = std::min(left, 1 + static_cast<unsigned>(random() % 5));
            if (random() % 4 == 0) {
                EXPECT_TRUE(me().signal(units.handle, many).ok());
                left -= many;
            } else {
                units.up();
                --left;
            }
        }
    };
    const auto taker = [&](uint64_t deadline) {
        for (unsigned i = 0; i < rounds; ++i) units.down(deadline);
    };
    // A third of the waits has a deadline, which has come already. On a busy host one run may be
    // over before the canceller had a turn.
    for (unsigned runs = 0; crowd.cancelled() == 0; ++runs) {
        ASSERT_LT(runs, 50u);
        run({[&] { giver(1); }, [&] { giver(2); }, [&] { giver(3); },
             [&] { taker(abi::deadline_never); }, [&] { taker(abi::deadline_never); },
             [&] { taker(500); }});
    }
    EXPECT_EQ(units.word(), 0u);
    machine.close(units.handle);
}

TEST_F(SemaphoreThreads, WhatWasWrittenBeforeARingIsSeenAfterIt) {
    constexpr unsigned rounds = 10'000;
    const Made there = make(SemaphoreMode::binary);
    const Made back = make(SemaphoreMode::binary);
    uint64_t data = 0;  // not atomic: the thread sanitizer sees a missing order
    run({[&] {
             for (unsigned i = 1; i <= rounds; ++i) {
                 data = i;
                 there.ring();
                 back.down();
             }
         },
         [&] {
             for (unsigned i = 1; i <= rounds; ++i) {
                 there.down();
                 EXPECT_EQ(data, i);
                 back.ring();
             }
         }});
    machine.close(there.handle);
    machine.close(back.handle);
}

TEST_F(SemaphoreThreads, ASignalAndAWaitHandTheUnitOver) {
    constexpr unsigned rounds = 5'000;
    const Made there = make(SemaphoreMode::counting);
    const Made back = make(SemaphoreMode::counting);
    uint64_t data = 0;
    const auto signal_and_wait = [&](const Made& signalled, const Made& waited) {
        if (!me().signal_and_wait(signalled.handle, waited.handle).ok()) waited.down();
    };
    run({[&] {
             for (unsigned i = 1; i <= rounds; ++i) {
                 data = i;
                 signal_and_wait(there, back);
             }
         },
         [&] {
             there.down();
             for (unsigned i = 1; i < rounds; ++i) {
                 EXPECT_EQ(data, i);
                 signal_and_wait(back, there);
             }
             back.up();
         }});
    EXPECT_EQ(there.word() + back.word(), 0u);
    machine.close(there.handle);
    machine.close(back.handle);
}

TEST_F(SemaphoreThreads, EverybodySeesASequenceToItsEnd) {
    constexpr uint64_t rounds = 5'000;
    const Made sequence = make(SemaphoreMode::sequence);
    const auto mover = [&] {
        for (unsigned i = 0; i < rounds; ++i) {
            ASSERT_TRUE(
                semaphore_protocol::advance<HostKernel>(sequence.word(), sequence.handle).ok());
        }
    };
    const auto watcher = [&] {
        for (uint64_t seen = 0; seen < 2 * rounds;) {
            const uint64_t before = seen;
            const bool ok = semaphore_protocol::await<HostKernel>(sequence.word(), sequence.handle,
                                                                  seen, abi::deadline_never)
                                .ok();
            EXPECT_EQ(seen > before, ok);
        }
    };
    run({mover, mover, watcher, watcher, watcher});
    machine.close(sequence.handle);
}

TEST_F(SemaphoreThreads, AWaitForAnyTakesOneUnitOfOne) {
    constexpr unsigned rounds = 6'000;
    constexpr unsigned count = 4;
    std::vector<Made> all;
    for (unsigned i = 0; i < count; ++i) all.push_back(make(SemaphoreMode::counting));
    const auto giver = [&](unsigned seed) {
        std::mt19937 random(seed);
        for (unsigned i = 0; i < rounds; ++i) all[random() % count].up();
    };
    const auto taker = [&](unsigned first, uint64_t deadline) {
        abi::WaitEntry entries[count];
        for (unsigned i = 0; i < count; ++i) entries[i] = {all[(first + i) % count].handle, 0};
        for (unsigned taken = 0; taken < rounds;) {
            const Status status = me().wait_any(entries, count, deadline);
            taken += status.ok();
        }
    };
    run({[&] { giver(1); }, [&] { giver(2); }, [&] { taker(0, abi::deadline_never); },
         [&] { taker(2, 500); }});
    for (const Made& made : all) {
        EXPECT_EQ(made.word(), 0u);
        machine.close(made.handle);
    }
}

TEST_F(SemaphoreThreads, WhoeverWaitsForASemaphoreThatEndsIsTold) {
    constexpr unsigned rounds = 400;
    std::atomic<abi::Handle> handle{abi::no_handle};
    std::atomic<bool> over{false};
    const auto waiter = [&] {
        while (!over) {
            const Status status = me().wait(handle.load());
            EXPECT_TRUE(status.ok() || status.code() == Error::closed ||
                        status.code() == Error::bad_handle || status.code() == Error::cancelled)
                << static_cast<unsigned>(status.code());
        }
    };
    const auto maker = [&] {
        for (unsigned i = 0; i < rounds; ++i) {
            {
                const InKernel here;
                // Every other one has its word in memory, the same one.
                const bool bound = i % 2 != 0;
                handle = machine
                             .make_semaphore(SemaphoreMode::counting, bound ? 0 : 1,
                                             bound ? page.get() : nullptr)
                             .handle;
            }
            for (unsigned j = 0; j < 5; ++j) sched_yield();
            const InKernel here;
            machine.close(handle);
        }
        over = true;
    };
    run({maker, waiter, waiter, waiter});
}

}  // namespace
}  // namespace annulus::kernel
