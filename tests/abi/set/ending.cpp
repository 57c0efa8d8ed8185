// SPDX-License-Identifier: MIT
// The end of members and of sets, and removal under waiters.

#include "tests/abi/set/sets.h"
#include "tests/guest/ledger.h"
#include "tests/guest/threads.h"

#include <array>

TEST(member_closed, "a member whose last handle goes gives its key once more, as closed") {
    const auto before = settled_ledger(test.budget());
    {
        const Set set = MUST(test.budget().create_set(1));
        for (const uint64_t units : {0, 3}) {
            Semaphore semaphore = MUST(make_semaphore(test));
            EXPECT_OK(set.create_member(semaphore, 5, 0));
            EXPECT_OK(signal(semaphore, units));
            semaphore.close();
            const auto event = next_event(set);
            EXPECT_OK(event.status);
            EXPECT_EQ(event.status.detail(), abi::event_closed);
            EXPECT_EQ(event.key, 5);
            EXPECT_ERROR(next_event(set).status, Error::timed_out);
            EXPECT_EQ(MUST(set.get_state()).members, 0);
        }
        // Nobody looks.
        Semaphore semaphore = MUST(make_semaphore(test));
        EXPECT_OK(set.create_member(semaphore, 5, 0));
    }
    expect_returned(test, test.budget(), before, "sets with closed members");
}

TEST(member_destroyed, "a waiter hears of the end of a member whose budget is destroyed") {
    EXPECT_OK(on_one_cpu([&] {
        const Budget budget = MUST(test.budget().create_budget(usual_limits()));
        const Set set = MUST(test.budget().create_set(300));
        std::array<Semaphore, 200> members;
        for (unsigned i = 0; i < members.size(); ++i) {
            members[i] = MUST(budget.create_semaphore(0, 0, MemoryReference(), 0));
            EXPECT_OK(set.create_member(members[i], i, 0));
        }
        OneEvent seen = {};
        Crew<1> crew;
        EXPECT_OK(crew.add([&] { seen = next_event(set, soon()); }, eager));
        const Semaphore done = MUST(make_semaphore(test));
        EXPECT_OK(budget.remove_destroy(done));
        EXPECT_OK(wait_for(done));
        EXPECT_OK(crew.join());
        EXPECT_OK(seen.status);
        EXPECT_EQ(seen.status.detail(), abi::event_closed);
        for (unsigned i = 1; i < members.size(); ++i) {
            EXPECT_EQ(next_event(set).status.detail(), abi::event_closed);
        }
        EXPECT_ERROR(next_event(set).status, Error::timed_out);
        EXPECT_EQ(MUST(set.get_state()).members, 0);
    }));
}

TEST(set_closed, "closing a set wakes its waiters and lets its members go") {
    EXPECT_OK(on_one_cpu([&] {
        constexpr unsigned waiters = 100;
        Set set = MUST(test.budget().create_set(200));
        const Set other = MUST(test.budget().create_set(200));
        std::array<Semaphore, 200> members;
        for (auto& member : members) {
            member = MUST(make_semaphore(test));
            EXPECT_OK(set.create_member(member, 1, 0));
        }
        const abi::Handle handle = set.value();
        unsigned closed = 0;
        Crew<waiters> crew;
        for (unsigned i = 0; i < waiters; ++i) {
            EXPECT_OK(crew.add(
                [&] {
                    if (next_event(handle, soon()).status.code() == Error::closed) ++closed;
                },
                eager));
        }
        set.close();
        EXPECT_OK(crew.join());
        EXPECT_EQ(closed, waiters);
        for (auto& member : members) {
            while (other.create_member(member, 2, 0).error() == Error::busy) {
                const Semaphore never = MUST(make_semaphore(test));
                static_cast<void>(wait_for(never, Deadline::after(microseconds(100))));
            }
            EXPECT_OK(signal(member));
        }
        for (unsigned i = 0; i < members.size(); ++i) EXPECT_EQ(next_event(other).key, 2);
    }));
}

TEST(set_destroyed, "destroying a set's budget wakes its waiters and gives everything back") {
    const Budget budget = MUST(test.budget().create_budget(usual_limits()));
    const Set set = MUST(budget.create_set(100));
    const Semaphore member = MUST(make_semaphore(test));
    const Semaphore done = MUST(make_semaphore(test));
    EXPECT_OK(set.create_member(member, 1, 0));
    Crew<2> crew;
    std::atomic<unsigned> closed = 0;
    for (unsigned i = 0; i < 2; ++i) {
        EXPECT_OK(crew.add([&] {
            const Error error = next_event(set, soon()).status.code();
            if (error == Error::closed || error == Error::bad_handle) closed.fetch_add(1);
        }));
    }
    static_cast<void>(wait_for(member, Deadline::after(milliseconds(5))));
    EXPECT_OK(budget.remove_destroy(done));
    EXPECT_OK(wait_for(done, Deadline::after(seconds(10))));
    EXPECT_OK(crew.join());
    EXPECT_EQ(closed.load(), 2);
    for (const uint64_t left : MUST(budget.get_ledger()).used) EXPECT_EQ(left, 0);
    EXPECT_OK(signal(member));
    EXPECT_OK(wait_for(member, Deadline::poll()));
}

TEST(removed, "after a removal no wait returns the key, whatever units were there") {
    const Set set = MUST(test.budget().create_set(1));
    const Semaphore semaphore = MUST(make_semaphore(test));
    EXPECT_OK(set.create_member(semaphore, 1, 0));
    EXPECT_OK(signal(semaphore, 5));
    EXPECT_OK(next_event(set).status);
    EXPECT_OK(set.remove_member(semaphore));
    EXPECT_ERROR(next_event(set).status, Error::timed_out);
    EXPECT_EQ(MUST(semaphore.get_state()).value, 4);
    EXPECT_OK(signal(semaphore));
    EXPECT_ERROR(next_event(set).status, Error::timed_out);
}

TEST(removed_ready, "the place of a member that left while it was ready works for the next one") {
    const Set set = MUST(test.budget().create_set(1));
    for (const bool closes : {false, true}) {
        {
            const Semaphore first = MUST(make_semaphore(test));
            EXPECT_OK(set.create_member(first, 1, 0));
            EXPECT_OK(signal(first));
            if (!closes) EXPECT_OK(set.remove_member(first));
        }
        if (closes) EXPECT_EQ(next_event(set).key, 1);
        const Semaphore second = MUST(make_semaphore(test));
        EXPECT_OK(set.create_member(second, 2, 0));
        EXPECT_OK(signal(second));
        EXPECT_EQ(next_event(set).key, 2);
        EXPECT_OK(set.remove_member(second));
    }
}

TEST(timed_out, "a wait on a set ends at its deadline, and a kill ends it at once") {
    const Set set = MUST(test.budget().create_set(1));
    const Semaphore member = MUST(make_semaphore(test));
    EXPECT_OK(set.create_member(member, 1, 0));
    const uint64_t deadline = now() + milliseconds(3).nanoseconds;
    EXPECT_ERROR(next_event(set, deadline).status, Error::timed_out);
    EXPECT(now() >= deadline);
    for (unsigned i = 0; i < 20; ++i) {
        auto thread = MUST(start_thread([&] { next_event(set, abi::deadline_never); }));
        if (i % 2 == 0) static_cast<void>(wait_for(member, Deadline::after(microseconds(50 * i))));
        EXPECT_OK(thread.handle().remove_kill(1));
        EXPECT_OK(thread.join());
    }
    EXPECT_OK(signal(member));
    EXPECT_EQ(next_event(set).key, 1);
}
