// SPDX-License-Identifier: MIT
// How operations end otherwise: deadline, cancel, closed handles, dead servers, killed clients.
// Each has one completion, and everything that was charged comes back.

#include "tests/abi/ring/bench.h"
#include "tests/guest/child.h"
#include "tests/guest/ledger.h"
#include "tests/guest/table_bench.h"

namespace annulus::test::cases {
namespace {

abi::SubmissionEntry request(HandleValue object, uint64_t user_data) {
    return ring_operation(object, abi::Verb::get, 1, user_data);
}

// Takes two requests, says so, and does nothing more.
void take_two(Child::Word* words) {
    const abi::Handle table = words[0].load();
    for (unsigned i = 0; i < 2; ++i) {
        static_cast<void>(system::reply_and_wait(table, 0, {}, abi::deadline_never));
    }
    static_cast<void>(system::signal(words[1].load()));
    static_cast<void>(system::wait(words[2].load(), 0, abi::deadline_never));
}

// What a client child needs: its own ring over memory that the parent mapped there, too.
enum ClientWord : unsigned { client_budget, client_memory, client_object, client_queues, rounds };

// Makes a ring and submits reads, writes and timers until it is killed. No runtime state is used:
// the queues are driven by hand through RingQueues.
void submit_for_ever(Child::Word* words) {
    const abi::Handle budget = words[client_budget].load();
    const uint64_t create = abi::operation_word(abi::Verb::create, 8) | abi::call_takes_handles;
    const auto made =
        system::call_words(budget, create, 32, words[client_memory].load(), 0, abi::ring_allow_all);
    if (!made.status.ok()) system::exit(1);
    const abi::Handle ring = made.words[0];
    const auto registered = system::call_words(ring, abi::operation_word(abi::Verb::set, 0), 0,
                                               words[client_memory].load(), 2 * abi::page_size, 1);
    if (!registered.status.ok()) system::exit(2);
    static_cast<void>(system::call_words(ring, abi::operation_word(abi::Verb::create, 0), 0, 4));
    // Safety: the parent says where it mapped the memory, in both address spaces.
    RingQueues queues(reinterpret_cast<std::byte*>(words[client_queues].load()), 32);
    const HandleValue object(words[client_object].load());
    for (uint64_t i = 0;; ++i) {
        while (abi::SubmissionEntry* entry = queues.prepare()) {
            switch (i++ % 5) {
                case 0: *entry = ring_timer(Deadline{i % 2 == 0 ? 1 : ~uint64_t{0}}, i); break;
                case 1: *entry = ring_read(object, 0, {0, 0, 32}, i); break;
                case 2: *entry = ring_cancel(i - 2, i); break;
                case 3: *entry = ring_write(object, 0, {0, 64, 32}, i); break;
                default: *entry = ring_nop(i); break;
            }
            if (i % 3 == 0) entry->flags |= abi::ring_link;
        }
        queues.publish();
        static_cast<void>(system::enter(ring, i % 2, abi::deadline_never));
        for (abi::CompletionEntry done; queues.next(done);) {
        }
        words[rounds].fetch_add(1);
    }
}

}  // namespace
}  // namespace annulus::test::cases

TEST(deadlines, "a deadline before the request is taken is timed_out, after it unknown_outcome") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(RingBench::create(test, 8));
        auto server = MUST(TableBench::create(test, 1));
        abi::SubmissionEntry soon = request(server.object, 1);
        soon.deadline = 1;
        EXPECT_EQ(bench.outcome(soon), Error::timed_out);
        soon.flags = abi::ring_relative;
        soon.deadline = 2'000'000;
        EXPECT_EQ(bench.outcome(soon), Error::timed_out);
        EXPECT_EQ(server.free(), 1);
        soon.deadline = 300'000'000;
        *bench.ring.prepare() = soon;
        soon.user_data = 2;
        soon.deadline = 1'000'000;
        *bench.ring.prepare() = soon;
        EXPECT_OK(bench.ring.submit());
        const auto seen = take_next(server.table);
        const auto waited = MUST(bench.ring.take());  // for a slot
        EXPECT_EQ(waited.user_data, 2);
        EXPECT_EQ(waited.code(), Error::timed_out);
        const auto taken = MUST(bench.ring.take());
        EXPECT_EQ(taken.user_data, 1);
        EXPECT_EQ(taken.code(), Error::unknown_outcome);
        EXPECT_EQ(MUST(server.table.get_state()).orphans, 1);
        EXPECT_EQ(answer(server.table, seen.request).status.detail(), abi::delivery_client_gone);
        EXPECT_EQ(server.free(), 1);
    }));
}

TEST(cancel_requests,
     "a cancel ends a request that waits, and gives up one that is taken: unknown_outcome") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(RingBench::create(test, 8));
        auto server = MUST(TableBench::create(test, 2));
        for (uint64_t i = 0; i < 3; ++i) *bench.ring.prepare() = request(server.object, i);
        EXPECT_OK(bench.ring.submit());
        const auto seen = take_next(server.table);
        for (uint64_t i = 0; i < 3; ++i) *bench.ring.prepare() = ring_cancel(i, 10 + i);
        EXPECT_OK(bench.ring.submit(6));
        Error outcome[13] = {};
        for (unsigned i = 0; i < 6; ++i) {
            const auto done = MUST(bench.ring.take(Deadline::poll()));
            outcome[done.user_data] = done.code();
        }
        for (unsigned i = 10; i < 13; ++i) EXPECT_EQ(outcome[i], Error::ok);
        EXPECT_EQ(outcome[0], Error::unknown_outcome);
        EXPECT_EQ(outcome[1], Error::cancelled);
        EXPECT_EQ(outcome[2], Error::cancelled);
        EXPECT_EQ(bench.in_flight(), 0);
        EXPECT_EQ(MUST(server.table.get_state()).orphans, 1);
        EXPECT_EQ(answer(server.table, seen.request).status.detail(), abi::delivery_client_gone);
        EXPECT_EQ(bench.ring.queues().ready(), 0);
        EXPECT_EQ(server.free(), 2);
        EXPECT_EQ(bench.outcome(ring_cancel(0, 10)), Error::not_found);
    }));
}

TEST(last_handle, "closing the last handle to an object ends the operations on it, and no others") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(RingBench::create(test, 16));
        auto server = MUST(TableBench::create(test, 2));
        auto other = MUST(server.table.create_object(5, abi::all_rights, 0));
        auto second = MUST(server.object.get_duplicate(abi::all_rights, 0));
        for (uint64_t i = 0; i < 3; ++i) *bench.ring.prepare() = request(server.object, i);
        for (uint64_t i = 3; i < 6; ++i) *bench.ring.prepare() = request(other, i);
        *bench.ring.prepare() = ring_timer(Deadline::never(), 6);
        EXPECT_OK(bench.ring.submit());
        const auto seen = take_next(server.table);
        server.object.close();
        EXPECT_ERROR(bench.ring.take(Deadline{now() + 20'000'000}), Error::timed_out);
        EXPECT_EQ(bench.in_flight(), 7);
        second.handle.close();
        EXPECT_OK(bench.ring.submit(3));
        unsigned closed = 0;
        for (unsigned i = 0; i < 3; ++i) {
            const auto done = MUST(bench.ring.take(Deadline::poll()));
            EXPECT(done.user_data < 3);
            const Error expected = done.user_data == 0 ? Error::unknown_outcome : Error::closed;
            if (done.code() == expected) ++closed;
        }
        EXPECT_EQ(closed, 3);
        EXPECT_EQ(bench.in_flight(), 4);
        EXPECT_EQ(answer(server.table, seen.request).status.detail(), abi::delivery_client_gone);
        EXPECT_OK(server.table.shutdown_fault(0));
        for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(MUST(bench.ring.take()).code(), Error::faulted);
    }));
}

TEST(server_dies, "when the server dies, every operation ends with server_died, waiting or taken") {
    for (unsigned trial = 0; trial < 3; ++trial) {
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
        auto bench = MUST(RingBench::create(test, 32));
        auto server = MUST(TableBench::create(test, 8));
        const auto taken = MUST(test.budget().create_semaphore(0, 0, {}, 0));
        const auto never = MUST(test.budget().create_semaphore(0, 0, {}, 0));
        child.words()[0] = MUST(child.give(std::move(server.table)));
        child.words()[1] = MUST(child.lend(taken));
        child.words()[2] = MUST(child.lend(never));
        for (uint64_t i = 0; i < 32; ++i) *bench.ring.prepare() = request(server.object, i);
        EXPECT_OK(bench.ring.submit());
        EXPECT_OK(child.start(take_two));
        EXPECT_OK(wait_for(taken));
        EXPECT_EQ(bench.in_flight(), 32);
        EXPECT_OK(child.kill());
        EXPECT_OK(bench.ring.submit(32));
        uint32_t seen = 0;
        for (unsigned i = 0; i < 32; ++i) {
            const auto done = MUST(bench.ring.take(Deadline::poll()));
            EXPECT_EQ(done.code(), Error::server_died);
            EXPECT(done.count != 0);  // the table's epoch
            EXPECT((seen >> done.user_data & 1) == 0);
            seen |= 1u << done.user_data;
        }
        EXPECT_EQ(bench.in_flight(), 0);
        EXPECT_EQ(bench.outcome(request(server.object, 1)), Error::server_died);
    }
}

TEST(ring_ends, "when a ring ends, queued requests vanish and taken ones are orphans") {
    EXPECT_OK(on_one_cpu([&] {
        auto server = MUST(TableBench::create(test, 4, 64));
        uint64_t taken[2] = {};
        {
            auto bench = MUST(RingBench::create(test, 16));
            for (uint64_t i = 0; i < 8; ++i) {
                *bench.ring.prepare() = ring_read(server.object, 0, {0, 0, 64}, i);
            }
            EXPECT_OK(bench.ring.submit());
            for (uint64_t& id : taken) id = take_next(server.table).request;
        }
        for (unsigned i = 0; i < 1000 && MUST(server.table.get_state()).orphans < 2; ++i) {
            sleep_for(milliseconds(1));
        }
        const auto state = MUST(server.table.get_state());
        EXPECT_EQ(state.orphans, 2);
        EXPECT_EQ(state.free, 2);
        EXPECT_EQ(state.clients, 0);
        for (const uint64_t id : taken) {
            EXPECT_EQ(answer(server.table, id, {.status = {}, .words = {}, .bytes_out = 64})
                          .status.detail(),
                      abi::delivery_client_gone);
        }
        EXPECT_EQ(server.free(), 4);
    }));
}

TEST(budget_ends, "when a ring's budget is destroyed, its operations end and the ledger is zero") {
    auto server = MUST(TableBench::create(test, 4, 64));
    const auto budget = MUST(test.budget().create_budget(usual_limits()));
    auto ring = MUST(ClientRing::create(budget, test.process(), 16));
    for (uint64_t i = 0; i < 4; ++i) *ring.prepare() = ring_timer(Deadline::never(), i);
    for (uint64_t i = 4; i < 12; ++i) *ring.prepare() = request(server.object, i);
    EXPECT_OK(ring.submit());
    Status woken;
    Crew<1> crew;
    EXPECT_OK(crew.add([&] { woken = ring.submit(16).status(); }));
    sleep_for(milliseconds(5));
    const auto done = MUST(test.budget().create_semaphore(0, 0, {}, 0));
    EXPECT_OK(budget.remove_destroy(done));
    EXPECT_OK(crew.join(Deadline{now() + seconds(10).nanoseconds}));
    EXPECT(!woken.ok());
    EXPECT_OK(wait_for(done, Deadline{now() + seconds(10).nanoseconds}));
    const auto ledger = MUST(budget.get_ledger());
    for (const uint64_t amount : ledger.used) EXPECT_EQ(amount, 0);
    EXPECT_ERROR(ring.submit(), Error::bad_handle);
    for (unsigned i = 0; i < 1000 && server.free() < 4; ++i) sleep_for(milliseconds(1));
    EXPECT_EQ(server.free(), 4);
}

TEST(killed, "a client killed at any moment with operations in flight leaves nothing behind") {
    auto server = MUST(TableBench::create(test, 4, 64));
    Crew<1> crew;
    std::atomic<uint64_t> served = 0;
    EXPECT_OK(crew.add([&] {
        serve(server.table.value(), [&](const system::Delivery& delivery) {
            const uint64_t number = served.fetch_add(1);
            const uint32_t count = delivery.capacity_out();
            return system::Reply{.status = number % 7 == 0 ? Status(Error::refused) : Status(),
                                 .words = {},
                                 .bytes_out = count,
                                 .moved_mask = 0};
        });
    }));
    const abi::BudgetLedger before = settled_ledger(test.budget());
    uint64_t total = 0;
    for (unsigned round = 0; round < 40; ++round) {
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
        const auto memory = MUST(test.budget().create_memory(3, 0));
        const uint64_t at = MUST(
            child.process().map(memory, 0, 3 * abi::page_size, 0, abi::map_read | abi::map_write));
        child.words()[client_budget] = MUST(child.lend(test.budget()));
        child.words()[client_memory] = MUST(child.lend(memory));
        child.words()[client_object] = MUST(child.lend(server.object));
        child.words()[client_queues] = at;
        EXPECT_OK(child.start(submit_for_ever));
        const uint64_t end = now() + round * 300'000;
        while (now() < end) sleep_for(milliseconds(1));
        EXPECT_OK(child.kill());
        total += child.words()[rounds].load();
        if (test.failed()) break;
    }
    for (unsigned i = 0; i < 1000 && server.free() < 4; ++i) sleep_for(milliseconds(1));
    EXPECT_EQ(server.free(), 4);
    expect_returned(test, test.budget(), before, "killed clients", 4);
    EXPECT_OK(server.table.shutdown_fault(0));
    EXPECT_OK(crew.join());
    EXPECT(total > 0);
    report_count("rounds of killed clients", total);
}
