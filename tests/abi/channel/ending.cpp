// SPDX-License-Identifier: MIT
// The end of channels: closed and revoked handles, dead peers and budgets, ends in messages.

#include "runtime/clock.h"
#include "runtime/semaphore_set.h"
#include "tests/abi/channel/ends.h"
#include "tests/guest/child.h"
#include "tests/guest/ledger.h"
#include "tests/guest/threads.h"

namespace annulus::test::cases {
namespace {

enum Place : unsigned { own_end, rounds, go };

// The peer: rings and waits until it is killed.
void ring_for_ever(Child::Word* words) {
    const abi::Handle end = words[own_end].load();
    for (;;) {
        system::signal(end);
        words[rounds].fetch_add(1);
        system::wait(end, 0, abi::deadline_never);
    }
}

void sleep_at_end(Child::Word* words) {
    system::wait(words[own_end].load(), 0, abi::deadline_never);
}

constexpr uint64_t op_share = abi::operation_word(abi::Verb::share, 1, 1);

// Pages of the machine that a clone of the memory takes. Needs the handle `machine`.
Result<uint64_t> clone_cost(const Context& test, MemoryReference memory, uint64_t pages) {
    const BudgetReference root = TRY(test.environment().handle<Budget>("machine"));
    const uint64_t before = settled_machine(root).free;
    if (before == 0) return Error::wrong_state;
    const auto clone = TRY(memory.create_clone(test.budget(), 0, pages));
    return before - settled_machine(root).free;
}

}  // namespace
}  // namespace annulus::test::cases

TEST(ended_value, "a wait answers 1 once the session has ended, however it waits, and 0 before") {
    const auto end_by_fault = [](BudgetChannel& ends) {
        return ends.second.shutdown_fault(7).status();
    };
    const auto end_by_close = [](BudgetChannel& ends) {
        ends.second.close();
        return abi::Status();
    };
    const auto for_each_way = [&](auto end_session) {
        const auto ends_with = [&](auto hear) {
            auto ends = MUST(make_channel(test.budget()));
            EXPECT_OK(ring(ends.second));
            uint64_t value = 9;
            hear(ends.first, value);
            EXPECT_EQ(value, 0);
            EXPECT_OK(end_session(ends));
            hear(ends.first, value);
            EXPECT_EQ(value, 1);
        };
        ends_with([](ChannelReference end, uint64_t& value) {
            value = system::wait(end.value(), 0, abi::deadline_never).value;
        });
        ends_with([](ChannelReference end, uint64_t& value) {
            value = system::wait(end.value(), 0, abi::deadline_poll).value;
        });
        ends_with([](ChannelReference end, uint64_t& value) {
            const abi::WaitEntry entries[] = {{end.value(), 0}};
            value = system::wait_any(entries, 1, abi::deadline_never).value;
        });
        const auto set = MUST(SemaphoreSet::create(test.budget(), 1));
        ends_with([&](ChannelReference end, uint64_t& value) {
            EXPECT_OK(set.add(end, 5));
            value = MUST(set.wait()).value;
            EXPECT_OK(set.remove(end));
        });
    };
    for_each_way(end_by_fault);
    for_each_way(end_by_close);
}

TEST(ended_under_waiter, "a sleeper hears a ring as 0 and the end of the session as 1") {
    EXPECT_OK(on_one_cpu([&] {
        for (const bool fault : {true, false}) {
            auto ends = MUST(make_channel(test.budget()));
            const abi::Handle end = ends.first.value();
            uint64_t seen[3] = {9, 9, 9};
            Crew<1> crew;
            EXPECT_OK(crew.add(
                [&, end] {
                    for (uint64_t& value : seen) {
                        value = system::wait(end, 0, abi::deadline_never).value;
                    }
                },
                eager));
            EXPECT_OK(ring(ends.second));
            EXPECT_OK(ring(ends.second));
            EXPECT_EQ(seen[0], 0);
            EXPECT_EQ(seen[1], 0);
            if (fault) EXPECT_OK(ends.first.shutdown_fault(1));
            if (!fault) ends.second.close();
            EXPECT_OK(crew.join());
            EXPECT_EQ(seen[2], 1);
        }
    }));
}

TEST(rings_no_more, "an end that rang a moment ago rings no more once the session has ended") {
    for (const bool fault : {true, false}) {
        auto ends = MUST(make_channel(test.budget()));
        const abi::Handle end = ends.first.value();
        EXPECT_OK(system::signal(end));
        EXPECT_OK(system::signal(end));
        EXPECT_OK(system::signal(end, 0));
        EXPECT_OK(wait(ends.second));
        EXPECT_OK(ring(ends.second));
        EXPECT_OK(system::signal_and_wait(end, end, abi::deadline_never));
        if (fault) EXPECT_OK(ends.second.shutdown_fault(3));
        if (!fault) ends.second.close();
        const Error error = fault ? Error::faulted : Error::closed;
        EXPECT_ERROR(system::signal(end), error);
        EXPECT_ERROR(system::signal(end, 0), error);
        EXPECT_ERROR(system::signal_and_wait(end, end, abi::deadline_never), error);
    }
}

TEST(in_and_out_of_a_set, "an end rings through the set it is in, and by itself before and after") {
    const auto ends = MUST(make_channel(test.budget()));
    const auto set = MUST(SemaphoreSet::create(test.budget(), 1));
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_OK(ring(ends.first));
        EXPECT_OK(wait(ends.second, abi::deadline_never));
        EXPECT_OK(set.add(ends.second, 5));
        EXPECT_ERROR(set.wait(Deadline::poll()), Error::timed_out);
        EXPECT_OK(ring(ends.first));
        EXPECT_EQ(MUST(set.wait()).key, 5);
        EXPECT_ERROR(wait(ends.second), Error::timed_out);
        EXPECT_OK(set.remove(ends.second));
    }
}

TEST(peer_closed, "the last close of an end rings the peer, which then reads closed") {
    auto ends = MUST(make_channel(test.budget()));
    auto copy = MUST(ends.second.get_duplicate(abi::all_rights, 0));
    ends.second.close();
    EXPECT_ERROR(wait(ends.first), Error::timed_out);
    EXPECT_EQ(MUST(ends.first.get_state()).closed, 0);
    copy.handle.close();
    EXPECT_OK(wait(ends.first));
    EXPECT_EQ(MUST(ends.first.get_state()).closed, 1);
    EXPECT_ERROR(ring(ends.first), Error::closed);
    EXPECT_OK(ends.first.get_geometry());
    EXPECT_OK(ends.first.get_memory());
    EXPECT_OK(ends.first.shutdown_fault(9));
    EXPECT_EQ(MUST(ends.first.get_state()).reason, 9);
}

TEST(closed_under_waiter, "closing an end under its own waiter wakes it with closed") {
    EXPECT_OK(on_one_cpu([&] {
        auto ends = MUST(make_channel(test.budget()));
        const abi::Handle end = ends.first.value();
        Error seen = Error::ok;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&, end] { seen = system::wait(end, 0, abi::deadline_never).status.code(); }, eager));
        ends.first.close();
        EXPECT_OK(crew.join());
        EXPECT_EQ(seen, Error::closed);
        EXPECT_EQ(MUST(ends.second.get_state()).closed, 1);
    }));
}

TEST(revoked, "a revoked end is useless to its holder and alive for the others") {
    const auto ends = MUST(make_channel(test.budget()));
    auto lent = MUST(ends.first.get_duplicate(abi::all_rights, abi::duplicate_revocable));
    const ChannelReference end(lent.handle.value());
    EXPECT_OK(ring(end));
    EXPECT_OK(ends.first.close_revoke(lent.lease));
    EXPECT_ERROR(ring(end), Error::revoked);
    EXPECT_ERROR(end.get_memory(), Error::revoked);
    EXPECT_OK(wait(ends.second));
    EXPECT_OK(ring(ends.first));
    EXPECT_EQ(MUST(ends.second.get_state()).closed, 0);
}

TEST(moved, "an end moves with a request, and with its answer") {
    auto ends = MUST(make_channel(test.budget()));
    const Table table = MUST(test.budget().create_table(2, 0, MemoryReference(), 0));
    const Served object = MUST(table.create_object(1, abi::all_rights, 0));
    auto server = MUST(start_thread([&] {
        const auto request = system::reply_and_wait(table.value(), 0, {}, abi::deadline_never);
        // The same end, under a new name.
        EXPECT_OK(system::signal(request.words[0]));
        system::Reply reply;
        reply.words[0] = request.words[0];
        reply.moved_mask = 1;
        system::reply_and_wait(table.value(), request.request, reply, 0, abi::reply_only);
    }));
    const abi::Handle sent = ends.first.release();
    const auto answer =
        system::call_words(object.value(), op_share | abi::call_takes_handles, sent);
    EXPECT_OK(answer.status);
    EXPECT_EQ(answer.handle_mask, 1);
    EXPECT_OK(server.join());
    EXPECT_OK(wait(ends.second));
    EXPECT_ERROR(system::signal(sent), Error::bad_handle);
    const Channel back(answer.words[0]);
    EXPECT_OK(ring(back));
    EXPECT_OK(wait(ends.second));
}

TEST(peer_killed, "a killed process closes its end: the other side is rung and reads closed") {
    for (auto* const body : {ring_for_ever, sleep_at_end}) {
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
        auto ends = MUST(make_channel(test.budget()));
        child.words()[own_end] = MUST(child.give(std::move(ends.second)));
        EXPECT_OK(child.start(body));
        for (unsigned i = 0; body == ring_for_ever && i < 100; ++i) {
            EXPECT_OK(wait(ends.first, abi::deadline_never));
            EXPECT_OK(ring(ends.first));
        }
        EXPECT_OK(child.kill());
        while (MUST(ends.first.get_state()).closed == 0) {
            EXPECT_OK(wait(ends.first, now() + seconds(10).nanoseconds));
            if (test.failed()) return;
        }
        EXPECT_ERROR(ring(ends.first), Error::closed);
    }
}

TEST(killed_anywhere, "peers killed at any point leave the channel's account in order") {
    uint64_t total = 0;
    const Semaphore never =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    const auto before = settled_ledger(test.budget());
    for (unsigned trial = 0; trial < 30; ++trial) {
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
        auto ends = MUST(make_channel(test.budget(), 1 + trial * 5));
        child.words()[own_end] = MUST(child.lend(ends.second));
        ends.second.close();
        for (unsigned i = 0; i < 2; ++i) EXPECT_OK(child.start(ring_for_ever));
        for (unsigned i = 0; i < trial; ++i) {
            EXPECT_OK(wait(ends.first, now() + seconds(10).nanoseconds));
            static_cast<void>(ring(ends.first));
        }
        static_cast<void>(
            system::wait(never.value(), 0, now() + microseconds(20 * trial).nanoseconds));
        EXPECT_OK(child.kill());
        total += child.words()[rounds].load();
        EXPECT_EQ(MUST(ends.first.get_state()).closed, 1);
    }
    expect_returned(test, test.budget(), before, "channels of killed peers", 16);
    report_count("killed_rounds", total);
}

TEST(budget_destroyed, "destroying the budget that paid takes both ends away") {
    EXPECT_OK(on_one_cpu([&] {
        const Budget budget = MUST(test.budget().create_budget(usual_limits()));
        const auto ends = MUST(make_channel(budget, 100));
        const Memory memory = MUST(ends.first.get_memory());
        const Semaphore done =
            MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
        const abi::Handle end = ends.second.value();
        Error seen = Error::ok;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&, end] { seen = system::wait(end, 0, abi::deadline_never).status.code(); }, eager));
        EXPECT_OK(budget.remove_destroy(done));
        EXPECT_OK(wait_for(done));
        EXPECT_OK(crew.join());
        EXPECT_EQ(seen, Error::closed);
        EXPECT_ERROR(ring(ends.first), Error::bad_handle);
        const auto ledger = MUST(budget.get_ledger());
        for (const uint64_t left : ledger.used) EXPECT_EQ(left, 0);
    }));
}

TEST(memory_destroyed, "a channel over another budget's memory outlives that budget") {
    struct Case {
        uint64_t flags, pages;
    };
    for (const Case& each : {Case{0, 2}, Case{abi::memory_contiguous, 1}}) {
        const auto before = settled_ledger(test.budget());
        {
            const Budget budget = MUST(test.budget().create_budget(usual_limits()));
            const Memory memory = MUST(budget.create_memory(each.pages, each.flags));
            const auto ends = MUST(test.budget().create_channel(
                memory, 0, each.pages * abi::page_size, structure, version));
            const Semaphore done = MUST(
                test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
            EXPECT_OK(budget.remove_destroy(done));
            EXPECT_OK(wait_for(done, Deadline::after(seconds(10))));
            EXPECT_OK(ring(ends.first));
            EXPECT_OK(wait(ends.second));
            EXPECT_ERROR(ends.first.get_memory(), Error::closed);
            EXPECT_OK(ends.first.shutdown_fault(1));
        }
        expect_returned(test, test.budget(), before, "a channel over memory that ended");
    }
}

TEST(pins_returned, "a channel pins exactly its pages, and the last end lets go of them") {
    struct Case {
        uint64_t flags, size, first, pages;
    };
    // One page: all of its memory, a part; and a page more than a chunk, so that the last step has
    // one page, too.
    constexpr uint64_t many = abi::chunk_items + 1;
    const Case cases[] = {{0, 1, 0, 1},
                          {0, 3, 1, 1},
                          {abi::memory_on_demand, 1, 0, 1},
                          {abi::memory_on_demand, 3, 2, 1},
                          {0, many, 0, many}};
    for (const Case& each : cases) {
        const auto before = settled_ledger(test.budget());
        {
            const Memory memory = MUST(test.budget().create_memory(each.size, each.flags));
            for (uint64_t i = 0; i < each.size; ++i) {
                EXPECT_OK(memory.write_bytes(i * abi::page_size, std::as_bytes(std::span(&i, 1))));
            }
            const uint64_t unpinned = MUST(clone_cost(test, memory, each.size));
            {
                const auto ends = MUST(
                    test.budget().create_channel(memory, each.first * abi::page_size,
                                                 each.pages * abi::page_size, structure, version));
                const auto pinned = MUST(test.budget().get_ledger());
                EXPECT_EQ(used(pinned, abi::Resource::pins),
                          used(before, abi::Resource::pins) + each.pages);
                // What is pinned cannot be shared with a clone: it is copied at once.
                EXPECT_EQ(MUST(clone_cost(test, memory, each.size)), unpinned + each.pages);
            }
            static_cast<void>(settled_ledger(test.budget()));
            EXPECT_EQ(MUST(clone_cost(test, memory, each.size)), unpinned);
        }
        expect_returned(test, test.budget(), before, "a channel's pins");
    }
}
