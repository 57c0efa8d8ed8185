// SPDX-License-Identifier: MIT
// Channels: making them, geometry, memory, bells, faults, rights.

#include "tests/abi/channel/ends.h"
#include "tests/guest/ledger.h"
#include "tests/guest/threads.h"

const char* const annulus::test::suite = "channel";

TEST(geometry, "both ends read the geometry that the channel was made with") {
    const auto ends = MUST(make_channel(test.budget(), 3));
    const auto first = MUST(ends.first.get_geometry());
    const auto second = MUST(ends.second.get_geometry());
    for (const auto& read : {first, second}) {
        EXPECT_EQ(read.length, 3 * abi::page_size);
        EXPECT_EQ(read.structure, structure);
        EXPECT_EQ(read.version, version);
    }
    EXPECT_EQ(first.end, 0);
    EXPECT_EQ(second.end, 1);
    EXPECT_EQ(first.id, second.id);
    const auto others = MUST(make_channel(test.budget()));
    EXPECT(MUST(others.first.get_geometry()).id != first.id);
    const auto state = MUST(ends.first.get_state());
    EXPECT_EQ(state.closed, 0);
    EXPECT_EQ(state.faulted, 0);
}

TEST(creation, "a channel needs whole pages of memory that cannot vanish, within its bounds") {
    const auto budget = test.budget();
    const Memory memory = MUST(budget.create_memory(4, 0));
    const auto make = [&](uint64_t offset, uint64_t length) {
        return budget.create_channel(memory, offset, length, 1, 1).status();
    };
    constexpr uint64_t page = abi::page_size;
    EXPECT_ERROR(make(0, 0), Error::bad_argument);
    EXPECT_ERROR(make(0, page - 8), Error::bad_argument);
    EXPECT_ERROR(make(8, page), Error::bad_argument);
    EXPECT_ERROR(make(0, 5 * page), Error::out_of_range);
    EXPECT_ERROR(make(3 * page, 2 * page), Error::out_of_range);
    EXPECT_ERROR(make(~uint64_t{page - 1}, 2 * page), Error::out_of_range);
    EXPECT_ERROR(make(page, ~uint64_t{page - 1}), Error::out_of_range);
    EXPECT_OK(make(0, 4 * page));
    EXPECT_OK(make(3 * page, page));
    EXPECT_ERROR(budget.create_channel(memory, 0, page, uint64_t{1} << 32, 1), Error::bad_argument);
    EXPECT_ERROR(budget.create_channel(memory, 0, page, 1, uint64_t{1} << 32), Error::bad_argument);
    EXPECT_OK(budget.create_channel(memory, 0, page, 0xffffffff, 0xffffffff));
    const Memory revocable = MUST(budget.create_memory(1, abi::memory_revocable));
    EXPECT_ERROR(budget.create_channel(revocable, 0, page, 1, 1), Error::may_fault);
    const auto unwritable =
        MUST(memory.get_duplicate(abi::all_rights & ~abi::right_of(abi::Verb::write), 0));
    EXPECT_ERROR(budget.create_channel(MemoryReference(unwritable.handle.value()), 0, page, 1, 1),
                 Error::no_right);
}

TEST(shared_memory, "an end gives a handle to exactly the channel's memory") {
    const auto budget = test.budget();
    const Memory memory = MUST(budget.create_memory(4, 0));
    const auto ends = MUST(budget.create_channel(memory, abi::page_size, 2 * abi::page_size, 1, 1));
    const Memory mine = MUST(ends.first.get_memory());
    const Memory theirs = MUST(ends.second.get_memory());
    EXPECT_EQ(MUST(mine.get_size()).pages, 2);
    const uint64_t written = 0x1122334455667788;
    EXPECT_OK(mine.write_bytes(8, std::as_bytes(std::span(&written, 1))));
    uint64_t read = 0;
    EXPECT_OK(theirs.read_bytes(8, std::as_writable_bytes(std::span(&read, 1))));
    EXPECT_EQ(read, written);
    EXPECT_OK(memory.read_bytes(abi::page_size + 8, std::as_writable_bytes(std::span(&read, 1))));
    EXPECT_EQ(read, written);
    const auto info = MUST(mine.get_info());
    EXPECT_EQ(info.rights, abi::right_of(abi::Verb::get) | abi::right_of(abi::Verb::map) |
                               abi::right_of(abi::Verb::read) | abi::right_of(abi::Verb::write));
    const auto address =
        MUST(test.process().map(theirs, 0, abi::page_size, 0, abi::map_read | abi::map_write));
    // Safety: it was just mapped there.
    EXPECT_EQ(*reinterpret_cast<uint64_t*>(address + 8), written);
    EXPECT_OK(test.process().map_unmap(address, abi::page_size));
}

TEST(pages_stay, "a channel keeps and pays its pages when the memory's last handle is closed") {
    const auto before = settled_ledger(test.budget());
    {
        const auto ends = MUST(make_channel(test.budget(), 200));
        const auto during = MUST(test.budget().get_ledger());
        EXPECT_EQ(used(during, abi::Resource::pins), used(before, abi::Resource::pins) + 200);
        const Memory memory = MUST(ends.second.get_memory());
        const uint64_t written = 7;
        EXPECT_OK(memory.write_bytes(199 * abi::page_size, std::as_bytes(std::span(&written, 1))));
    }
    expect_returned(test, test.budget(), before, "a closed channel");
}

TEST(no_pins, "a channel that cannot pin its memory leaves nothing behind") {
    abi::BudgetLimits limits = usual_limits();
    amount(limits, abi::Resource::pins) = 100;
    amount(limits, abi::Resource::pages) = 300;
    const Budget budget = MUST(test.budget().create_budget(limits));
    const auto before = settled_ledger(budget);
    for (const uint64_t pages : {101, 170}) {
        EXPECT_ERROR(make_channel(budget, pages), Error::no_budget);
    }
    expect_returned(test, budget, before, "a channel that was not made");
    EXPECT_OK(make_channel(budget, 100));
}

TEST(bells, "signalling an end rings its peer, and waiting hears the end's own bell") {
    const auto ends = MUST(make_channel(test.budget()));
    EXPECT_ERROR(wait(ends.first), Error::timed_out);
    EXPECT_OK(ring(ends.first));
    EXPECT_OK(ring(ends.first));
    EXPECT_ERROR(wait(ends.first), Error::timed_out);
    EXPECT_OK(wait(ends.second));
    EXPECT_ERROR(wait(ends.second), Error::timed_out);
    EXPECT_OK(ring(ends.second));
    EXPECT_OK(wait(ends.first));
    // One entry that rings the peer and hears the own bell.
    EXPECT_OK(ring(ends.second));
    const abi::Handle first = ends.first.value();
    EXPECT_OK(system::signal_and_wait(first, first, 0, abi::deadline_poll).status);
    EXPECT_OK(wait(ends.second));
}

TEST(wait_any_bell, "wait_any takes a channel's end like a semaphore") {
    const auto ends = MUST(make_channel(test.budget()));
    const Semaphore never =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    const abi::WaitEntry entries[] = {{never.value(), 0}, {ends.second.value(), 0}};
    EXPECT_ERROR(system::wait_any(entries, 2, abi::deadline_poll).status, Error::timed_out);
    EXPECT_OK(ring(ends.first));
    const auto answer = system::wait_any(entries, 2, abi::deadline_never);
    EXPECT_OK(answer.status);
    EXPECT_EQ(answer.index, 1);
}

TEST(ping_pong, "two threads ring each other through their ends, ten thousand times") {
    const auto ends = MUST(make_channel(test.budget()));
    constexpr unsigned rounds = 10'000;
    std::atomic<unsigned> errors = 0;
    auto thread = MUST(start_thread([&] {
        for (unsigned i = 0; i < rounds; ++i) {
            if (!wait(ends.second, abi::deadline_never).ok()) errors.fetch_add(1);
            if (!ring(ends.second).ok()) errors.fetch_add(1);
        }
    }));
    for (unsigned i = 0; i < rounds; ++i) {
        const abi::Handle end = ends.first.value();
        EXPECT_OK(system::signal_and_wait(end, end, 0, abi::deadline_never).status);
        if (test.failed()) break;
    }
    EXPECT_OK(thread.join());
    EXPECT_EQ(errors.load(), 0);
}

TEST(fault, "the first shutdown faults the channel for both ends, for ever, and rings both") {
    const auto ends = MUST(make_channel(test.budget()));
    EXPECT_ERROR(ends.first.shutdown_fault(uint64_t{1} << 32), Error::bad_argument);
    EXPECT_OK(ends.second.shutdown_fault(42));
    EXPECT_OK(ends.first.shutdown_fault(43));
    for (const ChannelReference end :
         {ChannelReference(ends.first), ChannelReference(ends.second)}) {
        const auto state = MUST(end.get_state());
        EXPECT_EQ(state.faulted, 1);
        EXPECT_EQ(state.reason, 42);
        EXPECT_EQ(state.closed, 0);
        EXPECT_OK(wait(end));
        EXPECT_ERROR(wait(end), Error::timed_out);
        EXPECT_ERROR(ring(end), Error::faulted);
        EXPECT_EQ(ring(end).extra(), 42);
    }
}

TEST(fault_wakes, "a fault wakes whoever sleeps at either end") {
    const auto ends = MUST(make_channel(test.budget()));
    std::atomic<unsigned> woken = 0;
    Crew<2> crew;
    for (const abi::Handle end : {ends.first.value(), ends.second.value()}) {
        EXPECT_OK(crew.add([&woken, end] {
            if (system::wait(end, 0, abi::deadline_never).status.ok()) woken.fetch_add(1);
        }));
    }
    EXPECT_OK(ends.first.shutdown_fault(1));
    EXPECT_OK(crew.join());
    EXPECT_EQ(woken.load(), 2);
}

TEST(rights, "ringing, hearing and every operation need their own rights") {
    const auto ends = MUST(make_channel(test.budget()));
    const auto hears = MUST(ends.first.get_duplicate(abi::right_wait, 0));
    const auto rings = MUST(ends.first.get_duplicate(abi::right_signal, 0));
    const ChannelReference hearing(hears.handle.value());
    const ChannelReference ringing(rings.handle.value());
    EXPECT_ERROR(ring(hearing), Error::no_right);
    EXPECT_ERROR(wait(ringing), Error::no_right);
    EXPECT_EQ(ring(hearing).detail(), 16);
    EXPECT_EQ(wait(ringing).detail(), 17);
    EXPECT_ERROR(hearing.get_geometry(), Error::no_right);
    EXPECT_ERROR(hearing.get_memory(), Error::no_right);
    EXPECT_ERROR(ringing.shutdown_fault(1), Error::no_right);
    EXPECT_OK(ring(ringing));
    EXPECT_OK(wait(ends.second));
}

TEST(not_a_semaphore, "an end is no semaphore where an operation asks for one") {
    const auto ends = MUST(make_channel(test.budget()));
    const SemaphoreReference disguised(ends.first.value());
    EXPECT_ERROR(test.budget().create_timer(disguised), Error::wrong_type);
    EXPECT_ERROR(test.budget().watch_exhausted(disguised), Error::wrong_type);
}
