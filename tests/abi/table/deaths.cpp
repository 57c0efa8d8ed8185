// SPDX-License-Identifier: MIT
// Clients that leave, servers that die, servers that lie: each request gets exactly one answer.

#include "tests/abi/table/bench.h"
#include "tests/guest/child.h"

namespace annulus::test::cases {
namespace {

// Takes two requests, says so, and does nothing more.
void take_two(Child::Word* words) {
    const abi::Handle table = words[0].load();
    for (unsigned i = 0; i < 2; ++i) {
        static_cast<void>(system::reply_and_wait(table, 0, {}, abi::deadline_never));
    }
    static_cast<void>(system::signal(words[1].load()));
    static_cast<void>(system::wait(words[2].load(), 0, abi::deadline_never));
}

uint64_t with_slot(uint64_t request, uint64_t slot) {
    return request - abi::request_slot(request) + slot;
}
uint64_t with_epoch(uint64_t request, uint64_t change) {
    return request + change * abi::request_epoch;
}

// A request with room for eight bytes of an answer.
Status ask_for_bytes(const TableBench& bench) {
    char buffer[8];
    return system::call_buffer(bench.object.value(), op_get, {buffer, 0, sizeof(buffer)}).status;
}

// What clients of a faulted table got; each call counts once.
struct Outcomes {
    std::atomic<unsigned> faulted = 0;
    std::atomic<unsigned> others = 0;
    void note(Status status) { (status.code() == Error::faulted ? faulted : others).fetch_add(1); }
};

// A queued and a taken request, and a reply that `forge` makes of the taken one's id.
template <typename Forge>
void lie(Context& test, Forge forge, uint32_t bytes = 0) {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 8, 64));
        Outcomes outcomes;
        Crew<3> crew;
        for (unsigned i = 0; i < 3; ++i) {
            EXPECT_OK(crew.add([&] { outcomes.note(ask_for_bytes(bench)); }, eager));
        }
        const auto first = take(bench.table);
        const auto second = take(bench.table);
        const uint64_t forged = forge(bench, first.request, second.request);
        EXPECT_ERROR(
            answer(bench.table, forged, {.status = {}, .words = {}, .bytes_out = bytes}).status,
            Error::faulted);
        static_cast<void>(bench.table.shutdown_fault(0));
        EXPECT_OK(crew.join());
        EXPECT_EQ(outcomes.faulted.load() + outcomes.others.load(), 3);
        EXPECT(outcomes.faulted.load() >= 2);
        EXPECT_ERROR(call(bench.object, op_get).status, Error::faulted);
        EXPECT_ERROR(take(bench.table).status, Error::faulted);
        EXPECT_ERROR(bench.table.create_object(1, 1, 0), Error::faulted);
    }));
}

}  // namespace
}  // namespace annulus::test::cases

TEST(client_dies_queued, "the server never sees the request of a client that died in the queue") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 2));
        Crew<1> crew;
        EXPECT_OK(crew.add([&] { static_cast<void>(call(bench.object, op_get)); }, eager));
        EXPECT_EQ(MUST(bench.table.get_state()).queued, 1);
        EXPECT_OK(crew[0].remove_kill(0));
        EXPECT_EQ(bench.free(), 2);
        EXPECT_ERROR(take(bench.table, abi::deadline_poll).status, Error::timed_out);
        EXPECT_OK(crew.join());
    }));
}

TEST(client_dies_taken, "the request of a client that died is an orphan until it is answered") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 2, 64));
        Crew<1> crew;
        EXPECT_OK(crew.add([&] { static_cast<void>(ask_for_bytes(bench)); }, eager));
        const auto request = take(bench.table);
        EXPECT_OK(crew[0].remove_kill(0));
        const auto state = MUST(bench.table.get_state());
        EXPECT_EQ(state.orphans, 1);
        EXPECT_EQ(state.free, 1);
        auto token = MUST(make_semaphore(test, 3));
        const auto outcome =
            answer(bench.table, request.request,
                   {.status = {}, .words = {{token.value()}}, .bytes_out = 8, .moved_mask = 1});
        EXPECT_OK(outcome.status);
        EXPECT_EQ(outcome.status.detail(), abi::delivery_client_gone);
        EXPECT_EQ(MUST(token.get_state()).value, 3);
        EXPECT_EQ(bench.free(), 2);
        EXPECT_OK(crew.join());
    }));
}

TEST(deadlines, "a deadline before the request is taken is timed_out, after it unknown_outcome") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 2));
        auto token = MUST(make_semaphore(test, 3));
        const auto send = [&](Duration patience) {
            return system::call_buffer(bench.object.value(), op_share(1), {}, token.value(), 0, 0,
                                       0, 0, 0, now() + patience.nanoseconds)
                .status;
        };
        EXPECT_ERROR(send(milliseconds(1)), Error::timed_out);
        EXPECT_EQ(MUST(token.get_state()).value, 3);
        Crew<1> crew;
        EXPECT_OK(crew.add([&] { EXPECT_ERROR(send(milliseconds(100)), Error::unknown_outcome); },
                           eager));
        const auto request = take(bench.table);
        EXPECT_OK(request.status);
        EXPECT_EQ(request.header.handle_mask(), 1);
        EXPECT_OK(crew.join());
        EXPECT_EQ(MUST(bench.table.get_state()).orphans, 1);
        EXPECT_ERROR(token.get_state(), Error::bad_handle);
        static_cast<void>(token.release());
        const Semaphore arrived(request.words[0]);
        EXPECT_EQ(MUST(arrived.get_state()).value, 3);
        EXPECT_EQ(answer(bench.table, request.request).status.detail(), abi::delivery_client_gone);
        EXPECT_EQ(bench.free(), 2);
    }));
}

TEST(slot_deadline, "a client that waits for a slot may time out, too") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 1));
        Crew<1> crew;
        EXPECT_OK(crew.add([&] { EXPECT_OK(call(bench.object, op_get).status); }, eager));
        EXPECT_ERROR(call(bench.object, op_get, 0, now() + 500'000).status, Error::timed_out);
        EXPECT_EQ(MUST(bench.table.get_state()).clients, 0);
        const auto request = take(bench.table);
        EXPECT_OK(answer(bench.table, request.request).status);
        EXPECT_OK(crew.join());
        EXPECT_EQ(bench.free(), 1);
    }));
}

TEST(server_dies, "when the server dies, every client gets server_died and the table's epoch") {
    for (unsigned trial = 0; trial < 3; ++trial) {
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
        auto bench = MUST(TableBench::create(test, 8));
        const auto taken = MUST(make_semaphore(test));
        const auto never = MUST(make_semaphore(test));
        const auto death = MUST(make_semaphore(test));
        EXPECT_OK(bench.object.watch_server_death(death));
        child.words()[0] = MUST(child.give(std::move(bench.table)));
        child.words()[1] = MUST(child.lend(taken));
        child.words()[2] = MUST(child.lend(never));
        Status outcomes[6] = {};
        Crew<6> crew;
        for (unsigned i = 0; i < 6; ++i) {
            EXPECT_OK(crew.add([&, i] { outcomes[i] = call(bench.object, op_get).status; }));
        }
        EXPECT_OK(child.start(take_two));
        EXPECT_OK(wait_for(taken));
        EXPECT_ERROR(wait_for(death, Deadline::poll()), Error::timed_out);
        EXPECT_OK(child.kill());
        EXPECT_OK(crew.join());
        const Status later = call(bench.object, op_get).status;
        EXPECT_ERROR(later, Error::server_died);
        for (const Status& outcome : outcomes) EXPECT_EQ(outcome.bits, later.bits);
        EXPECT_OK(wait_for(death));
        EXPECT_OK(bench.object.watch_server_death(death));
        EXPECT_OK(wait_for(death, Deadline::poll()));
    }
}

TEST(reply_never_issued, "a reply to a slot that has no request faults the table") {
    lie(test, [](const TableBench&, uint64_t first, uint64_t) { return with_slot(first, 7); });
}
TEST(reply_beyond, "a reply to a slot beyond the table faults it") {
    lie(test, [](const TableBench&, uint64_t first, uint64_t) { return with_slot(first, 8); });
    lie(test, [](const TableBench&, uint64_t first, uint64_t) {
        return with_slot(first, abi::table_slots_max - 1);
    });
}
TEST(reply_epoch, "a reply with an old or a future epoch faults the table") {
    lie(test, [](const TableBench&, uint64_t, uint64_t second) { return with_epoch(second, 1); });
    lie(test, [](const TableBench&, uint64_t, uint64_t second) {
        return with_epoch(second, ~uint64_t{0});
    });
    lie(test, [](const TableBench&, uint64_t, uint64_t second) {
        return uint64_t{abi::request_slot(second)};
    });
}
TEST(request_ids, "the next request in a slot has another id, however the one before it ended") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 1, 64));
        uint64_t before = 0;
        // Answered without bytes, with bytes, and after the client's death; the last is still open.
        for (unsigned i = 0; i < 4; ++i) {
            Crew<1> crew;
            EXPECT_OK(crew.add([&] { static_cast<void>(ask_for_bytes(bench)); }, eager));
            const auto request = take(bench.table);
            EXPECT_OK(request.status);
            EXPECT(request.request != before);
            if (i == 2) EXPECT_OK(crew[0].remove_kill(0));
            const system::Reply reply = {.status = {}, .words = {}, .bytes_out = i == 1 ? 8u : 0u};
            if (i == 3) {
                EXPECT_ERROR(answer(bench.table, before).status, Error::faulted);
            } else {
                EXPECT_OK(answer(bench.table, request.request, reply).status);
            }
            before = request.request;
            EXPECT_OK(crew.join());
        }
    }));
}
TEST(reply_twice, "a second reply to the same request faults the table; the first one counts") {
    lie(test, [](const TableBench& bench, uint64_t first, uint64_t) {
        static_cast<void>(answer(bench.table, first));
        return first;
    });
}
TEST(reply_not_taken, "a reply to a request that is still queued faults the table") {
    lie(test, [](const TableBench&, uint64_t, uint64_t second) {
        return with_slot(second, abi::request_slot(second) + 1);
    });
}
TEST(reply_too_long, "a reply with more bytes than the client has room for faults the table") {
    lie(test, [](const TableBench&, uint64_t first, uint64_t) { return first; }, 9);
    lie(test, [](const TableBench&, uint64_t first, uint64_t) { return first; }, 0xffffffff);
}

TEST(shutdown, "shutting a table down answers every client with the server's reason") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 2));
        Status outcomes[4] = {};
        Crew<5> crew;
        for (unsigned i = 0; i < 4; ++i) {
            EXPECT_OK(crew.add([&, i] { outcomes[i] = call(bench.object, op_get).status; }, eager));
        }
        EXPECT_OK(take(bench.table).status);
        EXPECT_ERROR(bench.table.shutdown_fault(uint64_t{1} << 32), Error::bad_argument);
        EXPECT_OK(bench.table.shutdown_fault(77));
        EXPECT_OK(crew.join());
        for (const Status& outcome : outcomes) {
            EXPECT_EQ(outcome.bits, Status(Error::faulted, 0, 77).bits);
        }
        EXPECT_ERROR(call(bench.object, op_get).status, Error::faulted);
    }));
}

TEST(close_notices, "the last close of an object is told once, with its cookie") {
    const auto bench = MUST(TableBench::create(test, 2));
    for (uint64_t cookie = 1; cookie <= 3; ++cookie) {
        auto object = MUST(bench.table.create_object(cookie, abi::all_rights, 0));
        auto copy = MUST(object.get_duplicate(1, 0));
        object.close();
        EXPECT_ERROR(take(bench.table, abi::deadline_poll).status, Error::timed_out);
        copy.handle.close();
        const auto notice = take(bench.table, abi::deadline_poll);
        EXPECT_OK(notice.status);
        EXPECT(is_close(notice));
        EXPECT_EQ(notice.cookie, cookie);
        EXPECT_EQ(notice.request, 0);
        EXPECT_ERROR(take(bench.table, abi::deadline_poll).status, Error::timed_out);
    }
}

TEST(close_after_requests, "the close notice comes after the requests that were queued before it") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 4));
        auto object = MUST(bench.table.create_object(5, abi::all_rights, 0));
        const ServedReference reference(object.value());
        Crew<2> crew;
        for (unsigned i = 0; i < 2; ++i) {
            EXPECT_OK(crew.add([&] { EXPECT_OK(call(reference, op_get).status); }, eager));
        }
        object.close();
        for (unsigned i = 0; i < 2; ++i) {
            const auto request = take(bench.table, abi::deadline_poll);
            EXPECT_OK(request.status);
            EXPECT(!is_close(request));
            EXPECT_EQ(request.cookie, 5);
            EXPECT_OK(answer(bench.table, request.request).status);
        }
        const auto notice = take(bench.table, abi::deadline_poll);
        EXPECT(is_close(notice));
        EXPECT_EQ(notice.cookie, 5);
        EXPECT_OK(crew.join());
        EXPECT_EQ(bench.free(), 4);
    }));
}

TEST(close_after_slot_wait, "an object whose clients waited for slots is closed like any other") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 1));
        auto object = MUST(bench.table.create_object(6, abi::all_rights, 0));
        const ServedReference reference(object.value());
        Crew<3> crew;
        for (unsigned i = 0; i < 3; ++i) {
            EXPECT_OK(crew.add([&] { EXPECT_OK(call(reference, op_get).status); }, eager));
        }
        EXPECT_EQ(MUST(bench.table.get_state()).clients, 2);
        for (unsigned i = 0; i < 3; ++i) {
            const auto request = take_next(bench.table);
            EXPECT_OK(request.status);
            EXPECT_OK(answer(bench.table, request.request).status);
        }
        EXPECT_OK(crew.join());
        EXPECT_ERROR(take(bench.table, abi::deadline_poll).status, Error::timed_out);
        object.close();
        EXPECT(is_close(take(bench.table, abi::deadline_poll)));
    }));
}
