// SPDX-License-Identifier: MIT
// Handles that come back with an error: the request's own, once, or none.

#include "tests/abi/table/bench.h"
#include "tests/guest/child.h"

namespace annulus::test::cases {
namespace {

constexpr uint32_t returns = abi::reply_returns >> 32;

// Semaphores that are told apart by their values.
struct Sent {
    Semaphore semaphores[4];

    static Result<Sent> create(const Context& test) {
        Sent sent;
        for (unsigned i = 0; i < 4; ++i) sent.semaphores[i] = TRY(make_semaphore(test, i + 1));
        return sent;
    }
    system::CallAnswer send(ServedReference object, unsigned mask,
                            uint64_t deadline = abi::deadline_never) const {
        return system::call_buffer(object.value(), op_share(mask), {}, semaphores[0].value(),
                                   semaphores[1].value(), semaphores[2].value(),
                                   semaphores[3].value(), 0, 0, deadline);
    }
};

Error error_of(abi::Handle handle) { return SemaphoreReference(handle).get_state().error(); }

system::Reply refusal(unsigned mask, Error error = Error::refused) {
    return {.status = error, .words = {}, .bytes_out = 0, .moved_mask = mask | returns};
}

// What a reply that cannot be made says.
Error failure(TableReference table, uint64_t request, const system::Reply& reply) {
    const Status outcome = answer(table, request, reply).status;
    if (outcome.detail() != abi::delivery_reply_failed) return Error::ok;
    return static_cast<Error>(outcome.extra());
}

// A client with few places for handles keeps what comes back, until it has no place left.
void fill_up(Child::Word* words) {
    const ServedReference object(words[0].load());
    const SemaphoreReference semaphore(words[1].load());
    for (;;) {
        auto copy = semaphore.get_duplicate(abi::all_rights, 0);
        if (!copy.ok()) break;
        call(object, op_share(1), copy->handle.release());
        words[2].fetch_add(1);
    }
    call(object, op_get);
}

// Two processes that serve the same table: one takes a request, the other one refuses it.
enum Place : unsigned { table_handle, request_id, arrived, outcome };

void take_one(Child::Word* words) {
    const auto request = take(TableReference(words[table_handle].load()));
    words[arrived] = request.words[0];
    words[request_id] = request.request;
    static_cast<void>(take(TableReference(words[table_handle].load())));
}
void refuse_one(Child::Word* words) {
    const TableReference table(words[table_handle].load());
    words[outcome] = answer(table, words[request_id].load(), refusal(1)).status.bits;
}

}  // namespace
}  // namespace annulus::test::cases

TEST(returned, "1 to 4 handles of a refused request go back: the same ones, and to nobody else") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 2));
        for (const unsigned mask : {0x1u, 0x8u, 0x6u, 0xfu}) {
            auto sent = MUST(Sent::create(test));
            system::CallAnswer got = {};
            Crew<1> crew;
            EXPECT_OK(crew.add([&] { got = sent.send(bench.object, mask); }, eager));
            const auto request = take(bench.table);
            EXPECT_EQ(answer(bench.table, request.request, refusal(mask)).status.bits, 0);
            EXPECT_OK(crew.join());
            EXPECT_ERROR(got.status, Error::refused);
            EXPECT_EQ(got.handle_mask, mask);
            for (unsigned i = 0; i < 4; ++i) {
                if ((mask >> i & 1) == 0) continue;
                EXPECT_EQ(error_of(sent.semaphores[i].release()), Error::bad_handle);
                EXPECT_EQ(error_of(request.words[i]), Error::bad_handle);
                const Semaphore back(got.words[i]);
                EXPECT_EQ(MUST(back.get_state()).value, i + 1);
            }
        }
        EXPECT_EQ(bench.free(), 2);
    }));
}

TEST(returned_rights, "what comes back has the rights and the lease that it was sent with") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 2));
        const auto semaphore = MUST(make_semaphore(test, 7));
        for (const bool revoked : {false, true}) {
            auto lent =
                MUST(semaphore.get_duplicate(right_of(abi::Verb::get), abi::duplicate_revocable));
            system::CallAnswer got = {};
            Crew<1> crew;
            EXPECT_OK(crew.add(
                [&] {
                    got = system::call_words(bench.object.value(), op_share(1),
                                             lent.handle.release());
                },
                eager));
            const auto request = take(bench.table);
            if (revoked) {
                EXPECT_OK(semaphore.close_revoke(lent.lease));
                EXPECT_EQ(failure(bench.table, request.request, refusal(1)), Error::revoked);
                close_handle(request.words[0]);
                EXPECT_EQ(answer(bench.table, request.request, refusal(0)).status.bits, 0);
            } else {
                EXPECT_EQ(answer(bench.table, request.request, refusal(1)).status.bits, 0);
            }
            EXPECT_OK(crew.join());
            EXPECT_ERROR(got.status, Error::refused);
            EXPECT_EQ(got.handle_mask, revoked ? 0 : 1);
            if (revoked) continue;
            const Semaphore back(got.words[0]);
            EXPECT_EQ(MUST(back.get_state()).value, 7);
            EXPECT_ERROR(signal(back), Error::no_right);
            EXPECT_OK(semaphore.close_revoke(lent.lease));
            EXPECT_ERROR(back.get_state(), Error::revoked);
        }
    }));
}

TEST(returned_own, "an error brings the handles that came with its request, and no others") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 1));
        auto sent = MUST(Sent::create(test));
        const auto other = MUST(make_semaphore(test, 9));
        system::CallAnswer got = {};
        Crew<1> crew;
        EXPECT_OK(crew.add([&] { got = sent.send(bench.object, 0x3); }, eager));
        const auto request = take(bench.table);
        const auto fails = [&](const system::Reply& reply) {
            return failure(bench.table, request.request, reply);
        };
        // An error with handles of the server's choice, and a success that returns any.
        system::Reply wrong = {.status = Error::refused, .words = {{other.value()}}};
        wrong.moved_mask = 1;
        EXPECT_EQ(fails(wrong), Error::bad_argument);
        wrong = {.status = {}, .words = {}, .bytes_out = 0, .moved_mask = 3 | returns};
        EXPECT_EQ(fails(wrong), Error::bad_argument);
        // Words that were no handles.
        EXPECT_EQ(fails(refusal(0x4)), Error::bad_handle);
        EXPECT_EQ(fails(refusal(0x7)), Error::bad_handle);
        // One that the server has closed since; the other stays with the server.
        close_handle(request.words[0]);
        EXPECT_EQ(fails(refusal(0x3)), Error::bad_handle);
        EXPECT_EQ(error_of(request.words[1]), Error::ok);
        // Words that the reply names are not looked at.
        system::Reply second = refusal(0x2);
        second.words[1] = other.value();
        EXPECT_EQ(answer(bench.table, request.request, second).status.bits, 0);
        EXPECT_OK(crew.join());
        EXPECT_EQ(got.handle_mask, 2);
        const Semaphore back(got.words[1]);
        EXPECT_EQ(MUST(back.get_state()).value, 2);
        EXPECT_EQ(MUST(other.get_state()).value, 9);
        for (unsigned i = 0; i < 2; ++i) static_cast<void>(sent.semaphores[i].release());
    }));
}

TEST(returned_later,
     "handles that came with an earlier request in the slot do not go to the next") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 2));
        auto sent = MUST(Sent::create(test));
        std::atomic<uint64_t> kept = 0;
        std::atomic<unsigned> wrong = 0;
        Crew<1> crew;
        // The first request is answered by the same call that takes the next: the fast path, where
        // there is one.
        EXPECT_OK(crew.add(
            [&] {
                const auto first = take(bench.table);
                kept = first.words[0];
                auto next = system::reply_and_wait(bench.table.value(), first.request, {},
                                                   abi::deadline_never);
                for (unsigned i = 0; i < 4; ++i) {
                    wrong += failure(bench.table, next.request, refusal(1)) != Error::bad_handle;
                    next = system::reply_and_wait(bench.table.value(), next.request, {},
                                                  abi::deadline_never);
                }
            },
            eager));
        EXPECT_OK(sent.send(bench.object, 1).status);
        static_cast<void>(sent.semaphores[0].release());
        for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(call(bench.object, op_get).handle_mask, 0);
        EXPECT_EQ(wrong.load(), 0);
        EXPECT_EQ(error_of(kept.load()), Error::ok);
        close_handle(kept.load());
        EXPECT_OK(bench.table.shutdown_fault(0));
        EXPECT_OK(crew.join());
    }));
}

TEST(returned_gone, "handles of a client that has left stay with the server: client_gone") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 2));
        for (const bool killed : {false, true}) {
            auto sent = MUST(Sent::create(test));
            Crew<1> crew;
            EXPECT_OK(crew.add(
                [&] {
                    const uint64_t deadline =
                        killed ? abi::deadline_never : now() + milliseconds(20).nanoseconds;
                    EXPECT_ERROR(sent.send(bench.object, 0xf, deadline).status,
                                 Error::unknown_outcome);
                },
                eager));
            const auto request = take(bench.table);
            if (killed) EXPECT_OK(crew[0].remove_kill(0));
            EXPECT_OK(crew.join());
            const Status outcome = answer(bench.table, request.request, refusal(0xf)).status;
            EXPECT_EQ(outcome.detail(), abi::delivery_client_gone);
            for (unsigned i = 0; i < 4; ++i) {
                static_cast<void>(sent.semaphores[i].release());
                const Semaphore left(request.words[i]);
                EXPECT_EQ(MUST(left.get_state()).value, i + 1);
            }
        }
        EXPECT_EQ(bench.free(), 2);
    }));
}

TEST(returned_no_room, "handles that find no room with the client stay with the server: no_room") {
    auto child = MUST(Child::create(test.budget(), test.process(), test.budget(), 24));
    const auto bench = MUST(TableBench::create(test, 2));
    const auto semaphore = MUST(make_semaphore(test, 1));
    child.words()[0] = MUST(child.lend(bench.object));
    child.words()[1] = MUST(child.lend(semaphore));
    EXPECT_OK(child.start(fill_up));
    unsigned back = 0;
    unsigned refused = 0;
    for (;;) {
        const auto request = take_next(bench.table);
        EXPECT_OK(request.status);
        if (request.header.handle_mask() == 0) {
            EXPECT_OK(answer(bench.table, request.request).status);
            break;
        }
        const Status outcome = answer(bench.table, request.request, refusal(1)).status;
        if (outcome.detail() == 0) {
            ++back;
            continue;
        }
        EXPECT_EQ(static_cast<Error>(outcome.extra()), Error::no_room);
        ++refused;
        close_handle(request.words[0]);
        EXPECT_EQ(answer(bench.table, request.request, refusal(0)).status.bits, 0);
    }
    // As many as there were places, then none; and nothing was lost on the way.
    EXPECT(back >= abi::moved_handles_max);
    EXPECT_EQ(back + refused, child.words()[2].load());
    EXPECT_EQ(bench.free(), 2);
    EXPECT_OK(child.kill());
}

TEST(returned_by_another,
     "a process that did not take a request returns none of its own handles in their place") {
    const auto bench = MUST(TableBench::create(test, 2));
    const auto other = MUST(make_semaphore(test, 9));
    auto sent = MUST(Sent::create(test));
    auto taker = MUST(Child::create(test.budget(), test.process(), test.budget()));
    auto refuser = MUST(Child::create(test.budget(), test.process(), test.budget()));
    taker.words()[table_handle] = MUST(taker.lend(bench.table));
    refuser.words()[table_handle] = MUST(refuser.lend(bench.table));
    // What arrives with the taker has the value that this has with the refuser.
    const abi::Handle decoy = MUST(refuser.lend(other));
    system::CallAnswer got = {};
    Crew<1> crew;
    EXPECT_OK(taker.start(take_one));
    EXPECT_OK(crew.add([&] { got = sent.send(bench.object, 1); }));
    const uint64_t limit = now() + seconds(10).nanoseconds;
    const auto never = MUST(make_semaphore(test));
    while (taker.words()[request_id].load() == 0 && now() < limit) {
        static_cast<void>(wait_for(never, Deadline::after(milliseconds(1))));
    }
    EXPECT_EQ(taker.words()[arrived].load(), decoy);
    refuser.words()[request_id] = taker.words()[request_id].load();
    EXPECT_OK(refuser.start(refuse_one));
    EXPECT_OK(refuser.wait());
    const Status refused(refuser.words()[outcome].load());
    EXPECT_EQ(refused.detail(), abi::delivery_reply_failed);
    EXPECT_EQ(static_cast<Error>(refused.extra()), Error::bad_handle);
    static_cast<void>(answer(bench.table, taker.words()[request_id].load(), refusal(0)));
    EXPECT_OK(crew.join());
    EXPECT_EQ(got.handle_mask, 0);
    static_cast<void>(sent.semaphores[0].release());
    EXPECT_OK(taker.kill());
}
