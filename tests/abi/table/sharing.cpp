// SPDX-License-Identifier: MIT
// What many clients share: slots in order, shares, hops, priorities; and kills in the middle.

#include "tests/abi/table/bench.h"
#include "tests/guest/child.h"

namespace annulus::test::cases {
namespace {

enum Place : unsigned { table_handle, object_handle, calls, stop };

Result<Budget> client_budget(const Context& test) {
    abi::BudgetLimits limits = {};
    for (uint64_t& amount : limits.amount) amount = 512;
    limits.amount[static_cast<unsigned>(abi::Resource::kernel_bytes)] = 1 << 20;
    limits.cpu_weight = 100;
    limits.priority_ceiling = 40;
    return test.budget().create_budget(limits);
}

// A client that pays for its own object: calls once and ends.
void call_once(Child::Word* words) {
    const auto object = TableReference(words[table_handle].load()).create_object(2, 0xffff, 0);
    if (!object.ok()) return;
    if (system::call_words(object->value(), op_get).status.ok()) words[calls].fetch_add(1);
}

// A client that calls with bytes and handles until it is killed.
void call_for_ever(Child::Word* words) {
    const abi::Handle object = words[object_handle].load();
    char buffer[64];
    for (uint64_t i = 0;; ++i) {
        system::Buffer with = {buffer, static_cast<uint32_t>(i % 65), 64};
        const auto got = system::call_buffer(object, op_write | abi::call_takes_handles, with, i);
        if (got.status.ok()) words[calls].fetch_add(1);
        for (unsigned k = 0; k < 6; ++k) {
            if (got.status.ok() && (got.handle_mask >> k & 1) != 0) close_handle(got.words[k]);
        }
    }
}

// A server thread that dies with its process in the middle of requests.
void serve_for_ever(Child::Word* words) {
    serve(words[table_handle].load(), [&](const system::Delivery& delivery) {
        words[calls].fetch_add(1);
        return system::Reply{.status = {},
                             .words = delivery.words,
                             .bytes_out = delivery.capacity_out(),
                             .moved_mask = 0};
    });
}

unsigned priority_of(ThreadReference thread) {
    const auto state = thread.get_state();
    return state.ok() ? state->priority : 1000;
}

constexpr ThreadOptions at(unsigned priority) {
    return {.stack_pages = 8, .priority = priority, .affinity = 1};
}

}  // namespace
}  // namespace annulus::test::cases

TEST(slots_in_order, "clients that wait for a slot get one in the order in which they came") {
    EXPECT_OK(on_one_cpu([&] {
        constexpr unsigned clients = 8;
        const auto bench = MUST(TableBench::create(test, 2));
        Crew<clients> crew;
        for (unsigned i = 0; i < clients; ++i) {
            EXPECT_OK(crew.add([&, i] { EXPECT_OK(call(bench.object, op_get, i).status); }, eager));
        }
        const auto state = MUST(bench.table.get_state());
        EXPECT_EQ(state.slots, 2);
        EXPECT_EQ(state.queued + state.clients, clients);
        for (unsigned i = 0; i < clients; ++i) {
            const auto request = take_next(bench.table);
            EXPECT_OK(request.status);
            EXPECT_EQ(request.words[0], i);
            EXPECT_OK(answer(bench.table, request.request).status);
        }
        EXPECT_OK(crew.join());
        EXPECT_EQ(bench.free(), 2);
    }));
}

TEST(shares, "above half full no client holds more than its share, and others do not wait for it") {
    EXPECT_OK(on_one_cpu([&] {
        constexpr unsigned clients = 8;
        const auto budget = MUST(client_budget(test));
        const auto bench = MUST(TableBench::create(test, 8));
        Crew<clients> crew;
        for (unsigned i = 0; i < clients; ++i) {
            EXPECT_OK(crew.add([&] { EXPECT_OK(call(bench.object, op_get).status); }, eager));
        }
        auto state = MUST(bench.table.get_state());
        EXPECT_EQ(state.queued, 4);
        EXPECT_EQ(state.clients, 4);
        auto child = MUST(Child::create(test.budget(), test.process(), budget));
        child.words()[table_handle] = MUST(child.lend(bench.table));
        EXPECT_OK(child.start(call_once, 40, 1));
        state = MUST(bench.table.get_state());
        EXPECT_EQ(state.queued, 5);
        EXPECT_EQ(state.clients, 4);
        uint64_t keys[2] = {};
        for (unsigned i = 0; i < clients + 1; ++i) {
            const auto request = take_next(bench.table);
            EXPECT_OK(request.status);
            keys[request.cookie == bench_cookie ? 0 : 1] = request.client;
            EXPECT_OK(answer(bench.table, request.request).status);
        }
        EXPECT(keys[0] != keys[1] && keys[0] != 0 && keys[1] != 0);
        EXPECT_OK(crew.join());
        EXPECT_OK(child.wait());
        EXPECT_EQ(child.words()[calls].load(), 1);
        while (is_close(take(bench.table, abi::deadline_poll))) {
        }
        EXPECT_EQ(bench.free(), 8);
    }));
}

TEST(hops, "a request goes through 8 servers at most: the ninth call is too_deep") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 32));
        Crew<10> crew;
        for (unsigned i = 0; i < 10; ++i) {
            EXPECT_OK(crew.add(
                [&] {
                    serve(bench.table.value(), [&](const system::Delivery& delivery) {
                        const auto next = call(bench.object, op_get, delivery.words[0] + 1);
                        if (next.status.ok()) {
                            return system::Reply{.status = {}, .words = next.words};
                        }
                        const auto hops = delivery.header.hops();
                        const auto error = static_cast<uint64_t>(next.status.code());
                        return system::Reply{.status = {}, .words = {{hops, error}}};
                    });
                },
                eager));
        }
        for (unsigned i = 0; i < 2; ++i) {
            const auto got = call(bench.object, op_get, 1);
            EXPECT_OK(got.status);
            // The server at hops_max was reached; the call that would be hops_max + 1 was refused.
            EXPECT_EQ(got.words[0], abi::hops_max);
            EXPECT_EQ(static_cast<Error>(got.words[1]), Error::too_deep);
        }
        EXPECT_EQ(bench.free(), 32);
        EXPECT_OK(bench.table.shutdown_fault(0));
    }));
}

TEST(client_priority,
     "a server thread runs a request at the client's priority, if that is higher") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 4));
        Crew<1> server;
        ThreadReference self;
        const auto ready = MUST(make_semaphore(test));
        EXPECT_OK(server.add(
            [&] {
                static_cast<void>(wait_for(ready));
                serve(bench.table.value(), [&](const system::Delivery&) {
                    return system::Reply{.status = {}, .words = {{priority_of(self)}}};
                });
            },
            at(30)));
        self = server[0];
        EXPECT_OK(signal(ready));
        uint64_t seen[3] = {};
        const unsigned priorities[] = {25, 35, 50};
        for (unsigned i = 0; i < 3; ++i) {
            Crew<1> client;
            EXPECT_OK(client.add([&, i] { seen[i] = call(bench.object, op_get).words[0]; },
                                 at(priorities[i])));
        }
        EXPECT_EQ(seen[0], 30);
        EXPECT_EQ(seen[1], 35);
        EXPECT_EQ(seen[2], 50);
        EXPECT_EQ(priority_of(self), 30);
        EXPECT_OK(bench.table.shutdown_fault(0));
    }));
}

TEST(boost, "a server thread at work runs at the highest priority of those who wait for it") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 8));
        const auto go_on = MUST(make_semaphore(test));
        std::atomic<unsigned> at_second = 0;
        std::atomic<unsigned> requests = 0;
        ThreadReference self;
        Crew<1> server;
        EXPECT_OK(server.add(
            [&] {
                serve(bench.table.value(), [&](const system::Delivery&) {
                    if (++requests == 2) at_second = priority_of(self);
                    if (requests == 1) static_cast<void>(wait_for(go_on));
                    return system::Reply{};
                });
            },
            at(30)));
        self = server[0];
        Crew<3> clients;
        const unsigned priorities[] = {31, 32, 45};
        for (unsigned i = 0; i < 3; ++i) {
            EXPECT_OK(clients.add([&] { EXPECT_OK(call(bench.object, op_get).status); },
                                  at(priorities[i])));
            EXPECT_EQ(priority_of(self), priorities[i]);
        }
        EXPECT_OK(signal(go_on));
        EXPECT_OK(clients.join());
        // The second request was the one of 32, and the one of 45 stood behind it.
        EXPECT_EQ(at_second.load(), 45);
        EXPECT_EQ(priority_of(self), 30);
        EXPECT_OK(bench.table.shutdown_fault(0));
    }));
}

TEST(less_urgent,
     "a server that goes on with a less urgent request lets who is more urgent run first") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 8));
        const auto go_on = MUST(make_semaphore(test));
        const auto bell = MUST(make_semaphore(test));
        const auto pause = [never = MUST(make_semaphore(test)).release()](Duration length) {
            static_cast<void>(system::wait(never, Deadline::after(length).at));
        };
        std::atomic<unsigned> requests = 0;
        std::atomic<unsigned> woken = 0;
        std::atomic<unsigned> woken_before = 100;
        Crew<4> crew;
        EXPECT_OK(crew.add(
            [&] {
                serve(bench.table.value(), [&](const system::Delivery&) {
                    if (++requests == 2) woken_before = woken.load();
                    if (requests != 1) return system::Reply{};
                    static_cast<void>(wait_for(go_on));
                    static_cast<void>(signal(bell));
                    return system::Reply{};
                });
            },
            at(30)));
        EXPECT_OK(crew.add([&] { woken += wait_for(bell).ok() ? 1 : 0; }, at(40)));
        // Its client has gone when it is answered, so nobody else gets the CPU with the answer.
        EXPECT_OK(crew.add(
            [&] {
                const uint64_t soon = Deadline::after(milliseconds(1)).at;
                EXPECT_ERROR(call(bench.object, op_get, 0, soon).status, Error::unknown_outcome);
            },
            at(50)));
        pause(milliseconds(5));
        EXPECT_OK(crew.add([&] { EXPECT_OK(call(bench.object, op_get).status); }, at(31)));
        pause(milliseconds(1));
        EXPECT_OK(signal(go_on));
        for (unsigned i = 0; i < 1000 && requests.load() < 2; ++i) pause(milliseconds(1));
        EXPECT_EQ(requests.load(), 2);
        EXPECT_EQ(woken_before.load(), 1);
        EXPECT_OK(bench.table.shutdown_fault(0));
        EXPECT_OK(crew.join());
    }));
}

TEST(server_deadline,
     "a server thread whose wait has a deadline keeps it when a request is refused") {
    EXPECT_OK(on_one_cpu([&] {
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget(), 16));
        const auto bench = MUST(TableBench::create(test, 2));
        const auto ended = MUST(make_semaphore(test));
        child.words()[0] = MUST(child.lend(bench.table));
        child.words()[1] = MUST(child.lend(ended));
        child.words()[2] = now() + milliseconds(300).nanoseconds;
        for (unsigned i = 0; i < 9; ++i) static_cast<void>(child.lend(ended));
        EXPECT_OK(child.start(
            [](Child::Word* words) {
                const abi::Handle table = words[0].load();
                const auto first = system::reply_and_wait(table, 0, {}, abi::deadline_never);
                static_cast<void>(
                    system::reply_and_wait(table, first.request, {}, words[2].load()));
                static_cast<void>(system::signal(words[1].load()));
            },
            40, 1));
        // The first four handles fill its table.
        for (const Error outcome : {Error::ok, Error::no_room}) {
            uint64_t tokens[4];
            for (uint64_t& token : tokens) token = MUST(make_semaphore(test)).release();
            const auto got = system::call_words(bench.object.value(), op_share(0xf), tokens[0],
                                                tokens[1], tokens[2], tokens[3]);
            EXPECT_ERROR(got.status, outcome);
            for (const uint64_t token : tokens) close_handle(token);
        }
        EXPECT_OK(wait_for(ended, Deadline::after(seconds(5))));
        EXPECT(now() >= child.words()[2].load());
    }));
}

TEST(killed_clients, "clients killed anywhere in their calls leave a table with all slots free") {
    const auto bench = MUST(TableBench::create(test, 4, 64));
    Crew<2> servers;
    for (unsigned i = 0; i < 2; ++i) {
        EXPECT_OK(servers.add([&] {
            serve(bench.table.value(), [&](const system::Delivery& delivery) {
                system::Reply reply = {
                    .status = {}, .words = {}, .bytes_out = delivery.bytes_in(), .moved_mask = 0};
                if (delivery.words[0] % 4 == 0) {
                    auto token = make_semaphore(test);
                    if (token.ok()) {
                        reply.words[2] = token->release();
                        reply.moved_mask = 4;
                    }
                }
                return reply;
            });
        }));
    }
    uint64_t called = 0;
    kill_callers(test, bench, call_for_ever, {object_handle, calls}, 30, 4, called);
    EXPECT_OK(bench.table.shutdown_fault(0));
    report_count("calls_of_killed_clients", called);
}

TEST(killed_servers, "servers killed anywhere: every call is answered, the ledger is as before") {
    uint64_t answered = 0;
    uint64_t died = 0;
    abi::BudgetLedger before = {};
    for (unsigned trial = 0; trial < 21; ++trial) {
        // The first trial warms the heap up.
        if (trial == 1) before = MUST(test.budget().get_ledger());
        auto bench = MUST(TableBench::create(test, 3, 64));
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
        child.words()[table_handle] = MUST(child.give(std::move(bench.table)));
        for (unsigned i = 0; i < 2; ++i) EXPECT_OK(child.start(serve_for_ever));
        std::atomic<uint64_t> good = 0;
        std::atomic<uint64_t> bad = 0;
        Crew<4> crew;
        for (unsigned i = 0; i < 4; ++i) {
            EXPECT_OK(crew.add([&] {
                char buffer[64];
                for (;;) {
                    const auto got =
                        system::call_buffer(bench.object.value(), op_get, {buffer, 3, 64});
                    if (got.status.code() == Error::server_died) return;
                    (got.status.ok() ? good : bad).fetch_add(1);
                }
            }));
        }
        const auto never = MUST(make_semaphore(test));
        while (good.load() < 10 * trial) {
            static_cast<void>(wait_for(never, Deadline::after(microseconds(500))));
        }
        EXPECT_OK(child.kill());
        EXPECT_OK(crew.join());
        EXPECT_EQ(bad.load(), 0);
        answered += good.load();
        died += 4;
    }
    // Objects leave the ledger a grace period after their last handle.
    const auto settled = [&] {
        const auto after = test.budget().get_ledger();
        return after.ok() && memcmp(after->used, before.used, sizeof(before.used)) == 0;
    };
    const uint64_t limit = now() + seconds(5).nanoseconds;
    while (!settled() && now() < limit) {
    }
    const auto after = MUST(test.budget().get_ledger());
    for (unsigned i = 0; i < abi::resource_count; ++i) EXPECT_EQ(after.used[i], before.used[i]);
    report_count("answers_before_kills", answered);
    report_count("server_died_answers", died);
}
