// SPDX-License-Identifier: MIT
// Sets bound to tables: requests and events through one blocking point.

#include "tests/abi/set/sets.h"
#include "tests/guest/ledger.h"
#include "tests/guest/threads.h"

namespace annulus::test::cases {
namespace {

constexpr uint64_t op_get = abi::operation_word(abi::Verb::get, 1);

struct Bench {
    static Result<Bench> create(const Context& test, unsigned members) {
        Bench bench;
        bench.table = TRY(test.budget().create_table(8, 0, MemoryReference(), 0));
        bench.object = TRY(bench.table.create_object(1, abi::all_rights, 0));
        bench.set = TRY(test.budget().create_set(members));
        bench.member = TRY(make_semaphore(test));
        TRY(bench.set.create_member(bench.member, 42, 0));
        TRY(bench.table.set_events(bench.set));
        return bench;
    }
    system::Delivery serve(uint64_t deadline = abi::deadline_poll, uint64_t request = 0) const {
        return system::reply_and_wait(table.value(), request, {}, deadline);
    }
    Table table;
    Served object;
    Set set;
    Semaphore member;
};

bool is_event(const system::Delivery& delivery) {
    return delivery.status.ok() && (delivery.status.detail() & abi::delivery_event) != 0;
}

}  // namespace
}  // namespace annulus::test::cases

TEST(bound_once, "a set is bound to one table, a table to one set, and nobody else waits on it") {
    const auto bench = MUST(Bench::create(test, 4));
    const auto others = MUST(Bench::create(test, 4));
    EXPECT_ERROR(bench.table.set_events(bench.set), Error::busy);
    EXPECT_ERROR(bench.table.set_events(others.set), Error::busy);
    EXPECT_ERROR(others.table.set_events(bench.set), Error::busy);
    EXPECT_ERROR(next_event(bench.set).status, Error::busy);
    EXPECT_EQ(MUST(bench.set.get_state()).bound, 1);
    const Table faulted = MUST(test.budget().create_table(1, 0, MemoryReference(), 0));
    EXPECT_OK(faulted.shutdown_fault(1));
    const Set set = MUST(test.budget().create_set(1));
    EXPECT_ERROR(faulted.set_events(set), Error::faulted);
    const auto no_wait = MUST(set.get_duplicate(abi::right_of(abi::Verb::get), 0));
    EXPECT_ERROR(others.table.set_events(SetReference(no_wait.handle.value())), Error::no_right);
    EXPECT_EQ(MUST(set.get_state()).bound, 0);
}

TEST(bound_event, "reply_and_wait answers an event's key, asleep or not") {
    const auto bench = MUST(Bench::create(test, 4));
    EXPECT_ERROR(bench.serve().status, Error::timed_out);
    EXPECT_OK(signal(bench.member));
    auto event = bench.serve();
    EXPECT(is_event(event));
    EXPECT_EQ(event.cookie, 42);
    EXPECT_EQ(event.request, 0);
    EXPECT_EQ(event.words[0], 0);
    EXPECT_ERROR(bench.serve().status, Error::timed_out);
    const Semaphore sequence = MUST(make_semaphore(test, abi::semaphore_sequence));
    EXPECT_OK(bench.set.create_member(sequence, 43, 0));
    EXPECT_OK(on_one_cpu([&] {
        Crew<1> crew;
        EXPECT_OK(crew.add([&] { event = bench.serve(soon()); }, eager));
        EXPECT_OK(signal(sequence));
        EXPECT_OK(crew.join());
    }));
    EXPECT(is_event(event));
    EXPECT_EQ(event.cookie, 43);
    EXPECT_EQ(event.words[0], 1);
    const uint64_t deadline = now() + milliseconds(2).nanoseconds;
    EXPECT_ERROR(bench.serve(deadline).status, Error::timed_out);
    EXPECT(now() >= deadline);
}

TEST(bound_alternate, "requests and events alternate while both wait") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(Bench::create(test, 4));
        Crew<4> clients;
        for (unsigned i = 0; i < 4; ++i) {
            EXPECT_OK(
                clients.add([&] { system::call_words(bench.object.value(), op_get); }, eager));
        }
        EXPECT_OK(signal(bench.member, 4));
        uint64_t request = 0;
        bool last = false;
        for (unsigned i = 0; i < 8; ++i) {
            const auto delivery = bench.serve(abi::deadline_poll, request);
            EXPECT_OK(delivery.status);
            if (i > 0) EXPECT(is_event(delivery) != last);
            last = is_event(delivery);
            request = delivery.request;
        }
        EXPECT_ERROR(bench.serve(abi::deadline_poll, request).status, Error::timed_out);
        EXPECT_OK(clients.join());
    }));
}

TEST(bound_reply, "an event that comes with a reply says how the reply went") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(Bench::create(test, 4));
        Crew<1> clients;
        EXPECT_OK(clients.add(
            [&] {
                static_cast<void>(system::call_buffer(bench.object.value(), op_get, {}, 0, 0, 0, 0,
                                                      0, 0, now() + milliseconds(50).nanoseconds));
            },
            eager));
        const auto request = bench.serve();
        EXPECT(!is_event(request));
        EXPECT_OK(clients.join());
        EXPECT_OK(signal(bench.member));
        const auto event = bench.serve(abi::deadline_poll, request.request);
        EXPECT(is_event(event));
        EXPECT_EQ(event.status.detail(), abi::delivery_event | abi::delivery_client_gone);
    }));
}

TEST(bound_closed, "the end of a member reaches the table, and so does nothing after it") {
    auto bench = MUST(Bench::create(test, 4));
    bench.member.close();
    const auto event = bench.serve();
    EXPECT_EQ(event.status.detail(), abi::delivery_event | abi::delivery_event_closed);
    EXPECT_EQ(event.cookie, 42);
    EXPECT_ERROR(bench.serve().status, Error::timed_out);
}

TEST(bound_ends, "table and set end in any order, and give everything back") {
    const auto before = settled_ledger(test.budget());
    for (unsigned order = 0; order < 4; ++order) {
        auto bench = MUST(Bench::create(test, 100));
        EXPECT_OK(signal(bench.member));
        if (order == 0) bench.set.close();
        if (order == 1) bench.table.close();
        if (order == 2) bench.member.close();
        if (order == 3) EXPECT_OK(bench.table.shutdown_fault(1));
        if (order == 0) EXPECT(is_event(bench.serve()));
    }
    expect_returned(test, test.budget(), before, "bound sets");
}

TEST(bound_set_destroyed, "a table goes on without a set whose budget is destroyed") {
    const Budget budget = MUST(test.budget().create_budget(usual_limits()));
    const Table table = MUST(test.budget().create_table(2, 0, MemoryReference(), 0));
    const Semaphore done = MUST(make_semaphore(test));
    const Semaphore member = MUST(make_semaphore(test));
    const Set set = MUST(budget.create_set(2));
    EXPECT_OK(set.create_member(member, 1, 0));
    EXPECT_OK(signal(member));
    EXPECT_OK(table.set_events(set));
    EXPECT_OK(budget.remove_destroy(done));
    EXPECT_OK(wait_for(done, Deadline::after(seconds(10))));
    for (const uint64_t left : MUST(budget.get_ledger()).used) EXPECT_EQ(left, 0);
    EXPECT_ERROR(system::reply_and_wait(table.value(), 0, {}, abi::deadline_poll).status,
                 Error::timed_out);
    const Set next = MUST(test.budget().create_set(2));
    EXPECT_OK(table.set_events(next));
}

TEST(bound_stress, "clients and signals at once, with several servers: every one is served once") {
    const auto bench = MUST(Bench::create(test, 4));
    constexpr unsigned servers = 3;
    constexpr unsigned rounds = 4'000;
    std::atomic<unsigned> requests = 0;
    std::atomic<unsigned> events = 0;
    std::atomic<unsigned> wrong = 0;
    Crew<servers> serving;
    for (unsigned i = 0; i < servers; ++i) {
        EXPECT_OK(serving.add([&] {
            uint64_t request = 0;
            for (;;) {
                const auto delivery = bench.serve(abi::deadline_never, request);
                if (delivery.status.code() == Error::faulted) return;
                if (!delivery.status.ok()) wrong.fetch_add(1);
                request = delivery.request;
                (is_event(delivery) ? events : requests).fetch_add(1);
            }
        }));
    }
    Crew<4> sources;
    for (unsigned i = 0; i < 2; ++i) {
        EXPECT_OK(sources.add([&] {
            for (unsigned k = 0; k < rounds; ++k) {
                if (!system::call_words(bench.object.value(), op_get).status.ok())
                    wrong.fetch_add(1);
            }
        }));
        EXPECT_OK(sources.add([&, i] {
            for (unsigned k = 0; k < rounds; ++k) {
                if (!signal(bench.member, 1 + i).ok()) wrong.fetch_add(1);
            }
        }));
    }
    EXPECT_OK(sources.join());
    const Semaphore never = MUST(make_semaphore(test));
    for (unsigned i = 0; i < 1000 && events.load() < 3 * rounds; ++i) {
        static_cast<void>(wait_for(never, Deadline::after(milliseconds(5))));
    }
    EXPECT_OK(bench.table.shutdown_fault(1));
    EXPECT_OK(serving.join());
    EXPECT_EQ(requests.load(), 2 * rounds);
    EXPECT_EQ(events.load(), 3 * rounds);
    EXPECT_EQ(wrong.load(), 0);
}

TEST(bound_wakes, "an event that comes while the server is about to wait wakes it") {
    const auto bench = MUST(Bench::create(test, 4));
    std::atomic<unsigned> served = 0;
    Crew<1> serving;
    EXPECT_OK(serving.add([&] {
        while (bench.serve(abi::deadline_never).status.ok()) served.fetch_add(1);
    }));
    constexpr unsigned rounds = 30'000;
    unsigned round = 0;
    for (bool lost = false; round < rounds && !lost; ++round) {
        // After the last event, by some steps more each time, so that they meet in between.
        for (unsigned step = 0; step < round % 97; ++step) __builtin_ia32_pause();
        EXPECT_OK(signal(bench.member));
        const auto end = Deadline::after(seconds(5));
        for (unsigned look = 1; served.load() == round && !lost; ++look) {
            // On one CPU the server needs this one.
            if (look % 1000 == 0) sleep_for(microseconds(50));
            lost = look % 1000 == 0 && Deadline::after({}) > end;
        }
    }
    EXPECT_EQ(served.load(), rounds);
    EXPECT_EQ(round, rounds);
    EXPECT_OK(bench.table.shutdown_fault(1));
    EXPECT_OK(serving.join());
}
