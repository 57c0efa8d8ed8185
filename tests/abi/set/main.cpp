// SPDX-License-Identifier: MIT
// Semaphore sets: members, events, rights and errors of each operation.

#include "tests/abi/set/sets.h"
#include "tests/guest/ledger.h"
#include "tests/guest/threads.h"

#include <array>

const char* const annulus::test::suite = "set";

TEST(counting_member, "a wait takes one unit of a member and answers its key") {
    const Set set = MUST(test.budget().create_set(4));
    const Semaphore semaphore = MUST(make_semaphore(test));
    EXPECT_OK(set.create_member(semaphore, 77, 0));
    EXPECT_ERROR(next_event(set).status, Error::timed_out);
    EXPECT_OK(signal(semaphore, 3));
    for (unsigned i = 0; i < 3; ++i) {
        const auto event = next_event(set);
        EXPECT_OK(event.status);
        EXPECT_EQ(event.status.detail(), 0);
        EXPECT_EQ(event.key, 77);
        EXPECT_EQ(event.value, 0);
    }
    EXPECT_ERROR(next_event(set).status, Error::timed_out);
    EXPECT_EQ(MUST(semaphore.get_state()).value, 0);
}

TEST(binary_member, "rings of a binary member before a wait are one event") {
    const Set set = MUST(test.budget().create_set(1));
    const Semaphore bell = MUST(make_semaphore(test, abi::semaphore_binary));
    EXPECT_OK(set.create_member(bell, 1, 0));
    EXPECT_OK(signal(bell, 5));
    EXPECT_OK(signal(bell));
    EXPECT_EQ(next_event(set).key, 1);
    EXPECT_ERROR(next_event(set).status, Error::timed_out);
}

TEST(sequence_member, "a sequence member answers its new value, once for each change seen") {
    const Set set = MUST(test.budget().create_set(2));
    const Semaphore sequence = MUST(make_semaphore(test, abi::semaphore_sequence, 5));
    EXPECT_OK(set.create_member(sequence, 9, 5));
    EXPECT_ERROR(next_event(set).status, Error::timed_out);
    EXPECT_OK(signal(sequence));
    EXPECT_OK(signal(sequence));
    const auto event = next_event(set);
    EXPECT_OK(event.status);
    EXPECT_EQ(event.key, 9);
    EXPECT_EQ(event.value, 7);
    EXPECT_ERROR(next_event(set).status, Error::timed_out);
    EXPECT_EQ(MUST(sequence.get_state()).value, 7);
    // One that was already ahead when it was added.
    EXPECT_OK(set.remove_member(sequence));
    EXPECT_OK(set.create_member(sequence, 10, 6));
    EXPECT_EQ(next_event(set).value, 7);
    const Semaphore counting = MUST(make_semaphore(test));
    EXPECT_ERROR(set.create_member(counting, 1, 1), Error::bad_argument);
}

TEST(channel_member, "the end of a channel is a member by its own bell") {
    const Memory memory = MUST(test.budget().create_memory(1, 0));
    auto ends = MUST(test.budget().create_channel(memory, 0, abi::page_size, 1, 1));
    const Set set = MUST(test.budget().create_set(2));
    EXPECT_OK(set.create_member(ends.first, 3, 0));
    EXPECT_OK(system::signal(ends.first.value()));
    EXPECT_ERROR(next_event(set).status, Error::timed_out);
    EXPECT_OK(system::signal(ends.second.value()));
    EXPECT_EQ(next_event(set).key, 3);
    EXPECT_OK(ends.second.shutdown_fault(4));
    EXPECT_EQ(next_event(set).key, 3);
    ends.second.close();
    EXPECT_EQ(next_event(set).key, 3);
    EXPECT_EQ(MUST(ends.first.get_state()).closed, 1);
}

TEST(units_before, "a semaphore that has units when it is added is ready at once") {
    const Set set = MUST(test.budget().create_set(1));
    const Semaphore semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 2));
    EXPECT_OK(set.create_member(semaphore, 1, 0));
    EXPECT_EQ(MUST(set.get_state()).ready, 1);
    EXPECT_OK(next_event(set).status);
    EXPECT_OK(next_event(set).status);
    EXPECT_EQ(MUST(set.get_state()).ready, 0);
}

TEST(round_robin, "members that are ready take turns, whatever they have") {
    const Set set = MUST(test.budget().create_set(3));
    std::array<Semaphore, 3> members;
    for (unsigned i = 0; i < 3; ++i) {
        members[i] = MUST(make_semaphore(test));
        EXPECT_OK(set.create_member(members[i], i, 0));
        EXPECT_OK(signal(members[i], i == 0 ? 100 : 2));
    }
    constexpr unsigned order[] = {0, 1, 2, 0, 1, 2, 0, 0};
    for (const unsigned key : order) EXPECT_EQ(next_event(set).key, key);
}

TEST(one_set, "a semaphore is in one set at most, and sets do not nest") {
    const Set set = MUST(test.budget().create_set(4));
    const Set other = MUST(test.budget().create_set(4));
    const Semaphore semaphore = MUST(make_semaphore(test));
    EXPECT_OK(set.create_member(semaphore, 1, 0));
    EXPECT_ERROR(set.create_member(semaphore, 1, 0), Error::busy);
    EXPECT_ERROR(other.create_member(semaphore, 1, 0), Error::busy);
    EXPECT_ERROR(other.remove_member(semaphore), Error::not_found);
    EXPECT_ERROR(set.create_member(other, 1, 0), Error::wrong_type);
    EXPECT_ERROR(set.create_member(test.budget(), 1, 0), Error::wrong_type);
    EXPECT_ERROR(set.remove_member(test.budget()), Error::wrong_type);
    EXPECT_OK(set.remove_member(semaphore));
    EXPECT_ERROR(set.remove_member(semaphore), Error::not_found);
    EXPECT_OK(other.create_member(semaphore, 1, 0));
}

TEST(room, "a set has room for as many members as it was made for, and is paid in full at once") {
    EXPECT_ERROR(test.budget().create_set(0), Error::bad_argument);
    EXPECT_ERROR(test.budget().create_set(abi::set_members_max + 1), Error::bad_argument);
    const auto before = settled_ledger(test.budget());
    {
        const Set largest = MUST(test.budget().create_set(abi::set_members_max));
        const auto during = MUST(test.budget().get_ledger());
        EXPECT_EQ(used(during, abi::Resource::wait_records),
                  used(before, abi::Resource::wait_records) + abi::set_members_max);
        EXPECT_EQ(MUST(largest.get_state()).room, abi::set_members_max);
    }
    expect_returned(test, test.budget(), before, "the largest set");
    const Set set = MUST(test.budget().create_set(2));
    const Semaphore a = MUST(make_semaphore(test));
    const Semaphore b = MUST(make_semaphore(test));
    const Semaphore c = MUST(make_semaphore(test));
    for (unsigned i = 0; i < 100; ++i) {
        EXPECT_OK(set.create_member(a, 1, 0));
        EXPECT_OK(set.create_member(b, 2, 0));
        EXPECT_ERROR(set.create_member(c, 3, 0), Error::limit);
        EXPECT_OK(set.remove_member(a));
        EXPECT_OK(set.create_member(c, 3, 0));
        EXPECT_OK(set.remove_member(c));
        EXPECT_OK(set.remove_member(b));
    }
    EXPECT_EQ(MUST(set.get_state()).members, 0);
}

TEST(array, "a wait with an array returns up to 64 events, those that are ready") {
    const Set set = MUST(test.budget().create_set(100));
    std::array<Semaphore, 100> members;
    for (unsigned i = 0; i < members.size(); ++i) {
        members[i] = MUST(make_semaphore(test));
        EXPECT_OK(set.create_member(members[i], i, 0));
        EXPECT_OK(signal(members[i]));
    }
    abi::SetEvent events[abi::set_events_max] = {};
    const auto wait = [&](abi::SetEvent* array, uint64_t capacity) {
        // Safety: the kernel reports addresses that it cannot reach.
        return system::short_call(abi::SystemCall::wait, set.value(),
                                  reinterpret_cast<uint64_t>(array), 0, capacity);
    };
    const auto first = wait(events, abi::set_events_max);
    EXPECT_OK(first.status);
    EXPECT_EQ(first.rdx, abi::set_events_max);
    for (unsigned i = 0; i < abi::set_events_max; ++i) {
        EXPECT_EQ(events[i].key, i);
        EXPECT_EQ(events[i].flags, 0);
    }
    EXPECT_EQ(wait(events, 10).rdx, 10);
    EXPECT_EQ(events[9].key, 73);
    EXPECT_ERROR(wait(events, abi::set_events_max + 1).status, Error::too_many);
    EXPECT_ERROR(wait(events, 0).status, Error::bad_argument);
    EXPECT_ERROR(wait(nullptr, 3).status, Error::bad_argument);
    EXPECT_EQ(wait(events, 64).rdx, 26);
    EXPECT_ERROR(wait(events, 64).status, Error::timed_out);
    EXPECT_OK(signal(members[5]));
    EXPECT_ERROR(system::short_call(abi::SystemCall::wait, set.value(), 8, 0, 1).status,
                 Error::bad_address);
}

TEST(sleeping_array, "a sleeping wait with an array gets the event that wakes it") {
    EXPECT_OK(on_one_cpu([&] {
        const Set set = MUST(test.budget().create_set(2));
        const Semaphore member = MUST(make_semaphore(test, abi::semaphore_sequence));
        EXPECT_OK(set.create_member(member, 4, 0));
        abi::SetEvent events[2] = {};
        uint64_t count = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                // Safety: the kernel reports addresses that it cannot reach.
                count = system::short_call(abi::SystemCall::wait, set.value(),
                                           reinterpret_cast<uint64_t>(events), soon(), 2)
                            .rdx;
            },
            eager));
        EXPECT_OK(signal(member));
        EXPECT_OK(crew.join());
        EXPECT_EQ(count, 1);
        EXPECT_EQ(events[0].key, 4);
        EXPECT_EQ(events[0].value, 1);
    }));
}

TEST(rights, "waiting, adding, removing and reading need their own rights") {
    const Set set = MUST(test.budget().create_set(2));
    const Semaphore semaphore = MUST(make_semaphore(test));
    const auto waits = MUST(set.get_duplicate(abi::right_wait, 0));
    const auto adds = MUST(set.get_duplicate(abi::right_of(abi::Verb::create), 0));
    const SetReference waiting(waits.handle.value());
    const SetReference adding(adds.handle.value());
    EXPECT_ERROR(next_event(adding).status, Error::no_right);
    EXPECT_EQ(next_event(adding).status.detail(), 17);
    EXPECT_ERROR(waiting.create_member(semaphore, 1, 0), Error::no_right);
    EXPECT_ERROR(waiting.get_state(), Error::no_right);
    EXPECT_OK(adding.create_member(semaphore, 1, 0));
    EXPECT_ERROR(adding.remove_member(semaphore), Error::no_right);
    EXPECT_OK(signal(semaphore));
    EXPECT_EQ(next_event(waiting).key, 1);
    const auto signals = MUST(semaphore.get_duplicate(abi::right_signal, 0));
    EXPECT_ERROR(set.remove_member(signals.handle), Error::no_right);
    EXPECT_ERROR(system::signal(set.value()), Error::wrong_type);
    const abi::WaitEntry entry = {set.value(), 0};
    EXPECT_ERROR(system::wait_any(&entry, 1, 0).status, Error::wrong_type);
    EXPECT_ERROR(system::signal_and_wait(semaphore.value(), set.value(), 1, 0).status,
                 Error::bad_argument);
}

TEST(plain_waits, "units go to threads that wait for the member itself before they go to the set") {
    EXPECT_OK(on_one_cpu([&] {
        const Set set = MUST(test.budget().create_set(1));
        const Semaphore semaphore = MUST(make_semaphore(test));
        EXPECT_OK(set.create_member(semaphore, 1, 0));
        unsigned got = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add([&] { got += wait_for(semaphore).ok() ? 1 : 0; }, eager));
        EXPECT_OK(signal(semaphore, 2));
        EXPECT_OK(crew.join());
        EXPECT_EQ(got, 1);
        EXPECT_OK(next_event(set).status);
        EXPECT_ERROR(next_event(set).status, Error::timed_out);
        // A unit that somebody took after the member became ready is no event.
        EXPECT_OK(signal(semaphore));
        EXPECT_OK(wait_for(semaphore, Deadline::poll()));
        EXPECT_ERROR(next_event(set).status, Error::timed_out);
    }));
}

TEST(waiters_in_order, "threads that wait on a set are served in the order in which they came") {
    EXPECT_OK(on_one_cpu([&] {
        const Set set = MUST(test.budget().create_set(1));
        const Semaphore member = MUST(make_semaphore(test));
        EXPECT_OK(set.create_member(member, 1, 0));
        constexpr unsigned waiters = 100;
        unsigned order[waiters] = {};
        unsigned served = 0;
        Crew<waiters> crew;
        for (unsigned i = 0; i < waiters; ++i) {
            EXPECT_OK(crew.add(
                [&, i] {
                    if (next_event(set, soon()).status.ok()) order[served++] = i;
                },
                eager));
        }
        // One by one, for a time slice may end while several are ready.
        for (unsigned i = 0; i < 20; ++i) {
            EXPECT_OK(signal(member));
            EXPECT_EQ(served, i + 1);
            EXPECT_EQ(order[i], i);
        }
        EXPECT_OK(signal(member, waiters - 20));
        EXPECT_OK(crew.join());
        EXPECT_EQ(served, waiters);
        EXPECT_ERROR(next_event(set).status, Error::timed_out);
    }));
}

TEST(signal_and_wait, "signal_and_wait rings a member and sleeps on a set in one entry") {
    const Set mine = MUST(test.budget().create_set(1));
    const Set theirs = MUST(test.budget().create_set(1));
    const Semaphore there = MUST(make_semaphore(test));
    const Semaphore back = MUST(make_semaphore(test));
    EXPECT_OK(mine.create_member(back, 1, 0));
    EXPECT_OK(theirs.create_member(there, 2, 0));
    constexpr unsigned rounds = 5'000;
    unsigned wrong = 0;
    auto thread = MUST(start_thread([&] {
        auto event = next_event(theirs, abi::deadline_never);
        for (unsigned i = 1; i < rounds; ++i) {
            if (!event.status.ok() || event.key != 2) ++wrong;
            const auto answer =
                system::signal_and_wait(back.value(), theirs.value(), 0, abi::deadline_never);
            event = {answer.status, answer.value, 0};
        }
        if (!signal(back).ok()) ++wrong;
    }));
    for (unsigned i = 0; i < rounds; ++i) {
        const auto answer =
            system::signal_and_wait(there.value(), mine.value(), 0, abi::deadline_never);
        EXPECT_OK(answer.status);
        EXPECT_EQ(answer.value, 1);
        if (test.failed()) break;
    }
    EXPECT_OK(thread.join());
    EXPECT_EQ(wrong, 0);
}

TEST(word_in_memory, "a member keeps the kernel bit in its word, and gives it back") {
    const Memory memory = MUST(test.budget().create_memory(1, 0));
    const uint64_t address =
        MUST(test.process().map(memory, 0, abi::page_size, 0, abi::map_read | abi::map_write));
    // Safety: it was just mapped there.
    auto& word = *reinterpret_cast<std::atomic<uint64_t>*>(address);
    const Semaphore semaphore =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, memory, 0));
    const Set set = MUST(test.budget().create_set(1));
    EXPECT_EQ(word.load(), 0);
    EXPECT_OK(set.create_member(semaphore, 1, 0));
    EXPECT_EQ(word.load(), semaphore_protocol::kernel_bit);
    EXPECT_OK(semaphore_protocol::up<KernelSemaphores>(word, semaphore.value()));
    EXPECT_EQ(next_event(set).key, 1);
    // Whoever writes the word can take events back, and nothing more.
    EXPECT_OK(signal(semaphore));
    word = semaphore_protocol::kernel_bit;
    EXPECT_ERROR(next_event(set).status, Error::timed_out);
    EXPECT_OK(signal(semaphore));
    EXPECT_EQ(next_event(set).key, 1);
    EXPECT_OK(set.remove_member(semaphore));
    EXPECT_EQ(word.load(), 0);
    EXPECT_OK(test.process().map_unmap(address, abi::page_size));
}
