// SPDX-License-Identifier: MIT
// Semaphore sets used by several CPUs at once: no event is lost or doubled while members come, go
// and end.
#include "kernel/object/semaphore_set.h"

#include "kernel/object/semaphore.h"
#include "tests/support/kernel_crowd.h"

#include <gtest/gtest.h>

#include <sched.h>

#include <array>
#include <random>
#include <vector>

namespace annulus::kernel {
namespace {

using test::InKernel;
using test::MachineThread;

MachineThread& me() { return test::KernelCrowd::me(); }

using Made = test::KernelMachine::Made;

class SetThreads : public testing::Test {
protected:
    Made make(SemaphoreMode mode) { return machine.make_semaphore(mode); }
    void make_set(uint32_t room) {
        set = SemaphoreSet::create(machine.root(), room).value().leak();
        set_handle = machine.name(*set);
    }
    // A set of `count` counting semaphores, whose keys are their places.
    std::vector<Made> make_full_set(unsigned count) {
        make_set(count);
        std::vector<Made> members;
        for (unsigned i = 0; i < count; ++i) {
            members.push_back(make(SemaphoreMode::counting));
            add(members[i], i);
        }
        return members;
    }
    void add(const Made& member, uint64_t key) {
        const InKernel here;
        ASSERT_TRUE(set->add(member.semaphore, key, 0).ok());
    }
    // As set.remove.member does.
    void remove(const Made& member) {
        struct Passed : GraceItem {
            std::atomic<bool> over{false};
        } period;
        SetMember* record = nullptr;
        {
            const InKernel here;
            ASSERT_TRUE(set->take_out(member.semaphore, record).ok());
        }
        // Release: pairs with the acquire below.
        period.done = [](GraceItem& item) {
            static_cast<Passed&>(item).over.store(true, std::memory_order_release);
        };
        machine.add(period);
        while (!period.over.load(std::memory_order_acquire)) sched_yield();
        const InKernel here;
        set->forget(*record);
    }
    // Waits, by itself or for an array, and tells of each event.
    template <typename Event>
    void take(bool array, uint64_t deadline, Event event) {
        if (!array) {
            const Status status = me().wait(set_handle, deadline);
            if (status.ok()) event(me().message().rdx, status.detail() == abi::event_closed);
            return;
        }
        std::array<abi::SetEvent, 4> events;
        if (!me().wait_events(set_handle, events.data(), events.size(), deadline).ok()) return;
        const uint64_t count = me().message().rdx;
        ASSERT_LE(count, events.size());
        for (uint64_t i = 0; i < count; ++i) {
            event(events[i].key, (events[i].flags & abi::event_closed) != 0);
        }
    }
    void close(const std::vector<Made>& members) {
        for (const Made& member : members) machine.close(member.handle);
        machine.close(set_handle);
        machine.settle();
    }

    test::KernelMachine machine;
    test::KernelCrowd crowd{machine};
    SemaphoreSet* set = nullptr;
    abi::Handle set_handle = abi::no_handle;
};

TEST_F(SetThreads, EveryUnitIsOneEvent) {
    constexpr unsigned rounds = 6'000;
    constexpr unsigned count = 5;
    const std::vector<Made> members = make_full_set(count);
    std::array<std::atomic<unsigned>, count> given{};
    std::array<std::atomic<unsigned>, count> taken{};
    std::atomic<unsigned> all{0};
    const auto giver = [&](unsigned seed) {
        std::mt19937 random(seed);
        for (unsigned i = 0; i < rounds; ++i) {
            const unsigned which = random() % count;
            ++given[which];
            EXPECT_TRUE(me().signal(members[which].handle).ok());
        }
    };
    const auto taker = [&](bool array, uint64_t deadline) {
        while (all < 3 * rounds) {
            take(array, deadline, [&](uint64_t key, bool closed) {
                EXPECT_FALSE(closed);
                ++taken[key];
                ++all;
            });
        }
    };
    // Those with a deadline see the end; the others would sleep for ever, so they are cancelled.
    crowd.run({[&] { giver(1); }, [&] { giver(2); }, [&] { giver(3); },
               [&] { taker(false, abi::deadline_never); }, [&] { taker(true, 500); },
               [&] { taker(true, abi::deadline_never); }});
    for (unsigned i = 0; i < count; ++i) EXPECT_EQ(given[i], taken[i]);
    close(members);
}

TEST_F(SetThreads, WhatWasWrittenBeforeARingIsSeenAfterItsEvent) {
    constexpr unsigned rounds = 5'000;
    make_set(1);
    const std::vector<Made> members = {make(SemaphoreMode::binary)};
    const Made back = make(SemaphoreMode::counting);
    add(members[0], 1);
    uint64_t data = 0;  // not atomic: the thread sanitizer sees a missing order
    crowd.run({[&] {
                   for (unsigned i = 1; i <= rounds; ++i) {
                       data = i;
                       EXPECT_TRUE(me().signal(members[0].handle).ok());
                       while (!me().wait(back.handle).ok()) {
                       }
                   }
               },
               [&] {
                   for (unsigned seen = 0; seen < rounds;) {
                       take(seen % 2 == 0, abi::deadline_never, [&](uint64_t, bool) {
                           EXPECT_EQ(data, ++seen);
                           EXPECT_TRUE(me().signal(back.handle).ok());
                       });
                   }
               }});
    machine.close(back.handle);
    close(members);
}

TEST_F(SetThreads, UnitsAreKeptWhileMembersComeAndGo) {
    constexpr unsigned rounds = 3'000;
    constexpr unsigned count = 3;
    const std::vector<Made> members = make_full_set(count);
    std::atomic<unsigned> taken{0};
    std::atomic<bool> moving{true};
    const auto giver = [&] {
        for (unsigned i = 0; i < rounds; ++i) {
            EXPECT_TRUE(me().signal(members[i % count].handle).ok());
        }
    };
    const auto taker = [&] {
        while (moving || taken < 2 * rounds) {
            take(true, 500, [&](uint64_t, bool) { ++taken; });
        }
    };
    const auto mover = [&] {
        for (unsigned i = 0; i < 300; ++i) {
            const Made& member = members[i % count];
            remove(member);
            // While it is in no set its units are for who waits on it.
            if (me().wait(member.handle, abi::deadline_poll).ok()) ++taken;
            add(member, i % count);
        }
        moving = false;
    };
    crowd.run({giver, giver, taker, taker, mover});
    EXPECT_EQ(taken, 2 * rounds);
    for (const Made& member : members) EXPECT_EQ(member.semaphore.value(), 0u);
    close(members);
}

TEST_F(SetThreads, EachMemberThatEndsIsToldOfOnce) {
    constexpr unsigned rounds = 600;
    make_set(2 * rounds);
    std::atomic<unsigned> ends{0};
    std::atomic<unsigned> units{0};
    const auto maker = [&](uint64_t first) {
        for (unsigned i = 0; i < rounds; ++i) {
            const InKernel here;
            const Made made = machine.make_semaphore(SemaphoreMode::counting, i % 2);
            ASSERT_TRUE(set->add(made.semaphore, first + i, 0).ok());
            machine.close(made.handle);
        }
    };
    const auto taker = [&](bool array) {
        while (ends < 2 * rounds) {
            take(array, 500, [&](uint64_t, bool closed) { ++(closed ? ends : units); });
        }
    };
    crowd.run(
        {[&] { maker(0); }, [&] { maker(rounds); }, [&] { taker(true); }, [&] { taker(false); }});
    EXPECT_EQ(ends, 2 * rounds);
    EXPECT_LE(units, rounds);  // a unit that nobody took in time went with its semaphore
    EXPECT_EQ(set->counts().members, 0u);
    close({});
}

}  // namespace
}  // namespace annulus::kernel
