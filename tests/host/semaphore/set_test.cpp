// SPDX-License-Identifier: MIT
// Tests of semaphore sets: members, events in all modes, arrays, and every kind of end.
#include "kernel/object/semaphore_set.h"

#include "kernel/object/semaphore.h"
#include "tests/support/kernel_machine.h"

#include <gtest/gtest.h>

#include <array>

namespace annulus::kernel {
namespace {

using test::MachineThread;

class SetTest : public testing::Test {
protected:
    using Made = test::KernelMachine::Made;
    Made make(SemaphoreMode mode = SemaphoreMode::counting, uint64_t initial = 0) {
        return machine.make_semaphore(mode, initial);
    }
    struct MadeSet {
        SemaphoreSet& set;
        abi::Handle handle;
        SemaphoreSet* operator->() const { return &set; }
    };
    MadeSet make_set(uint32_t room) {
        SemaphoreSet* made = SemaphoreSet::create(machine.root(), room).value().leak();
        return {*made, machine.name(*made)};
    }
    // As set.remove.member does, grace period and all.
    void remove(const MadeSet& from, const Made& member) {
        SetMember* record = nullptr;
        ASSERT_TRUE(from->take_out(member.semaphore, record).ok());
        machine.settle();
        from->forget(*record);
    }
    // The key of the next event that is ready.
    Result<uint64_t> next(const MadeSet& set) {
        const Status status = thread.wait(set.handle, abi::deadline_poll);
        if (!status.ok()) return status;
        return thread.message().rdx;
    }
    void close(std::initializer_list<abi::Handle> handles) {
        for (const abi::Handle handle : handles) machine.close(handle);
        machine.settle();
    }

    test::KernelMachine machine;
    MachineThread thread{machine};
};

TEST_F(SetTest, HasRoomForSoManyAndNotForOneMore) {
    const MadeSet set = make_set(2);
    const Made a = make();
    const Made b = make();
    const Made c = make();
    EXPECT_TRUE(set->add(a.semaphore, 1, 0).ok());
    EXPECT_TRUE(set->add(b.semaphore, 2, 0).ok());
    EXPECT_EQ(set->add(c.semaphore, 3, 0).error(), Error::limit);
    EXPECT_EQ(set->counts().members, 2u);
    remove(set, a);
    EXPECT_TRUE(set->add(c.semaphore, 3, 0).ok());
    close({set.handle, a.handle, b.handle, c.handle});
}

TEST_F(SetTest, ASemaphoreIsInOneSetOnce) {
    const MadeSet one = make_set(2);
    const MadeSet other = make_set(2);
    const Made a = make();
    EXPECT_TRUE(one->add(a.semaphore, 1, 0).ok());
    EXPECT_EQ(one->add(a.semaphore, 2, 0).error(), Error::busy);
    EXPECT_EQ(other->add(a.semaphore, 2, 0).error(), Error::busy);
    SetMember* record = nullptr;
    EXPECT_EQ(other->take_out(a.semaphore, record).error(), Error::not_found);
    EXPECT_EQ(other->counts().members, 0u);
    remove(one, a);
    EXPECT_TRUE(other->add(a.semaphore, 2, 0).ok());
    close({one.handle, other.handle, a.handle});
}

TEST_F(SetTest, EveryUnitIsAnEventWithItsKey) {
    const MadeSet set = make_set(2);
    const Made early = make(SemaphoreMode::counting, 2);
    const Made late = make();
    EXPECT_TRUE(set->add(early.semaphore, 7, 0).ok());
    EXPECT_TRUE(set->add(late.semaphore, 8, 0).ok());
    EXPECT_TRUE(thread.signal(late.handle).ok());
    // Who has more units goes behind the others.
    EXPECT_EQ(next(set).value(), 7u);
    EXPECT_EQ(next(set).value(), 8u);
    EXPECT_EQ(next(set).value(), 7u);
    EXPECT_EQ(next(set).error(), Error::timed_out);
    EXPECT_EQ(early.semaphore.value() + late.semaphore.value(), 0u);
    close({set.handle, early.handle, late.handle});
}

TEST_F(SetTest, DoorbellsAndSequencesCoalesce) {
    const MadeSet set = make_set(2);
    const Made bell = make(SemaphoreMode::binary);
    const Made sequence = make(SemaphoreMode::sequence);
    EXPECT_TRUE(set->add(bell.semaphore, 1, 0).ok());
    EXPECT_TRUE(set->add(sequence.semaphore, 2, 0).ok());
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(thread.signal(bell.handle).ok());
        EXPECT_TRUE(thread.signal(sequence.handle).ok());
    }
    EXPECT_EQ(next(set).value(), 1u);
    EXPECT_EQ(next(set).value(), 2u);
    EXPECT_EQ(thread.message().rsi, 3u);
    EXPECT_EQ(next(set).error(), Error::timed_out);
    close({set.handle, bell.handle, sequence.handle});
}

TEST_F(SetTest, ASequenceThatMovedBeforeItWasAddedIsReady) {
    const MadeSet set = make_set(2);
    const Made moved = make(SemaphoreMode::sequence, 5);
    const Made seen = make(SemaphoreMode::sequence, 5);
    EXPECT_TRUE(set->add(moved.semaphore, 1, 4).ok());
    EXPECT_TRUE(set->add(seen.semaphore, 2, 5).ok());
    EXPECT_EQ(next(set).value(), 1u);
    EXPECT_EQ(next(set).error(), Error::timed_out);
    close({set.handle, moved.handle, seen.handle});
}

TEST_F(SetTest, ASleeperIsHandedTheEvent) {
    const MadeSet set = make_set(1);
    const Made a = make();
    EXPECT_TRUE(set->add(a.semaphore, 9, 0).ok());
    MachineThread sleeper(machine);
    EXPECT_FALSE(sleeper.begin_wait(set.handle));
    EXPECT_TRUE(thread.signal(a.handle).ok());
    ASSERT_TRUE(sleeper.woken());
    sleeper.go_on();
    EXPECT_TRUE(sleeper.status().ok());
    EXPECT_EQ(sleeper.message().rdx, 9u);
    EXPECT_EQ(a.semaphore.value(), 0u);
    close({set.handle, a.handle});
}

TEST_F(SetTest, SeveralUnitsAtOnceWakeAsManySleepers) {
    const MadeSet set = make_set(1);
    const Made a = make();
    EXPECT_TRUE(set->add(a.semaphore, 9, 0).ok());
    MachineThread first(machine);
    MachineThread second(machine);
    EXPECT_FALSE(first.begin_wait(set.handle));
    EXPECT_FALSE(second.begin_wait(set.handle));
    EXPECT_TRUE(thread.signal(a.handle, 2).ok());
    machine.settle();
    for (MachineThread* sleeper : {&first, &second}) {
        ASSERT_TRUE(sleeper->woken());
        sleeper->go_on();
        EXPECT_EQ(sleeper->message().rdx, 9u);
    }
    EXPECT_EQ(a.semaphore.value(), 0u);
    close({set.handle, a.handle});
}

TEST_F(SetTest, AnArrayTakesManyInTheirOrder) {
    constexpr unsigned count = 10;
    const MadeSet set = make_set(count);
    std::vector<Made> members;
    for (unsigned i = 0; i < count; ++i) {
        members.push_back(make());
        EXPECT_TRUE(set->add(members[i].semaphore, 100 + i, 0).ok());
    }
    for (unsigned i = count; i > 0; --i) EXPECT_TRUE(thread.signal(members[i - 1].handle).ok());
    std::array<abi::SetEvent, count> events;
    EXPECT_TRUE(thread.wait_events(set.handle, events.data(), 6).ok());
    ASSERT_EQ(thread.message().rdx, 6u);
    for (unsigned i = 0; i < 6; ++i) EXPECT_EQ(events[i].key, 109 - i);
    EXPECT_TRUE(thread.wait_events(set.handle, events.data(), count).ok());
    EXPECT_EQ(thread.message().rdx, 4u);
    EXPECT_EQ(thread.wait_events(set.handle, events.data(), abi::set_events_max + 1).code(),
              Error::too_many);
    for (const Made& member : members) machine.close(member.handle);
    close({set.handle});
}

TEST_F(SetTest, WhatWasRemovedGivesNoEvent) {
    const MadeSet set = make_set(1);
    const Made a = make();
    EXPECT_TRUE(set->add(a.semaphore, 1, 0).ok());
    EXPECT_TRUE(thread.signal(a.handle).ok());
    remove(set, a);
    EXPECT_EQ(next(set).error(), Error::timed_out);
    EXPECT_TRUE(thread.wait(a.handle, abi::deadline_poll).ok());
    close({set.handle, a.handle});
}

TEST_F(SetTest, AMemberThatEndsGivesItsKeyOnceMore) {
    const MadeSet set = make_set(2);
    const Made ready = make();
    const Made quiet = make();
    EXPECT_TRUE(set->add(ready.semaphore, 1, 0).ok());
    EXPECT_TRUE(set->add(quiet.semaphore, 2, 0).ok());
    EXPECT_TRUE(thread.signal(ready.handle).ok());
    close({ready.handle, quiet.handle});
    for (const uint64_t key : {1, 2}) {
        EXPECT_EQ(next(set).value(), key);
        EXPECT_EQ(thread.status().detail(), abi::event_closed);
    }
    EXPECT_EQ(next(set).error(), Error::timed_out);
    // Their room is free again.
    const Made a = make();
    const Made b = make();
    EXPECT_TRUE(set->add(a.semaphore, 3, 0).ok());
    EXPECT_TRUE(set->add(b.semaphore, 4, 0).ok());
    close({set.handle, a.handle, b.handle});
}

TEST_F(SetTest, WhoWaitsForASetThatEndsIsTold) {
    const MadeSet set = make_set(1);
    const Made a = make();
    EXPECT_TRUE(set->add(a.semaphore, 1, 0).ok());
    MachineThread sleeper(machine);
    EXPECT_FALSE(sleeper.begin_wait(set.handle));
    close({set.handle});
    ASSERT_TRUE(sleeper.woken());
    sleeper.go_on();
    EXPECT_EQ(sleeper.status().code(), Error::closed);
    // Its members are nobody's.
    const MadeSet other = make_set(1);
    EXPECT_TRUE(other->add(a.semaphore, 1, 0).ok());
    close({other.handle, a.handle});
}

TEST_F(SetTest, AWaitEndsByItsDeadlineAndTakesNothing) {
    const MadeSet set = make_set(1);
    const Made a = make();
    EXPECT_TRUE(set->add(a.semaphore, 1, 0).ok());
    MachineThread sleeper(machine);
    EXPECT_FALSE(sleeper.begin_wait(set.handle, 50));
    EXPECT_FALSE(sleeper.time_out());  // it has not come
    machine.now = 60;
    EXPECT_TRUE(sleeper.time_out());
    sleeper.go_on();
    EXPECT_EQ(sleeper.status().code(), Error::timed_out);
    EXPECT_TRUE(thread.signal(a.handle).ok());
    EXPECT_EQ(next(set).value(), 1u);
    close({set.handle, a.handle});
}

TEST_F(SetTest, AProgramThatWritesTheWordWithholdsEventsAndNothingElse) {
    const MadeSet set = make_set(2);
    const Made liar = make();
    const Made honest = make();
    EXPECT_TRUE(set->add(liar.semaphore, 1, 0).ok());
    EXPECT_TRUE(set->add(honest.semaphore, 2, 0).ok());
    auto& word = *reinterpret_cast<std::atomic<uint64_t>*>(liar.semaphore.word_address());
    EXPECT_TRUE(thread.signal(liar.handle).ok());
    EXPECT_TRUE(thread.signal(honest.handle).ok());
    word = 0;  // the unit, and K
    EXPECT_EQ(next(set).value(), 2u);
    EXPECT_EQ(next(set).error(), Error::timed_out);
    word = ~uint64_t{0};
    EXPECT_EQ(thread.signal(liar.handle).code(), Error::limit);
    EXPECT_TRUE(thread.signal(honest.handle).ok());
    EXPECT_EQ(next(set).value(), 2u);
    close({set.handle, liar.handle, honest.handle});
}

}  // namespace
}  // namespace annulus::kernel
