// SPDX-License-Identifier: MIT
// Handles arrive with an answer only where the client looks for them.

#include "tests/abi/table/bench.h"
#include "tests/guest/child.h"

namespace annulus::test::cases {
namespace {

constexpr uint64_t op_open = op_get | abi::call_takes_handles;

// One handle as the answer's word 0.
system::Reply with(abi::Handle handle) {
    return {.status = {}, .words = {{handle}}, .bytes_out = 0, .moved_mask = 1};
}

// What a reply that cannot be made says; ok if it was made.
Error failure(Status outcome) {
    if (outcome.detail() != abi::delivery_reply_failed) return Error::ok;
    return static_cast<Error>(outcome.extra());
}

enum Place : unsigned { object_handle, spare_handle, places_before, places_after, calls };

// How many handles this process has room for.
uint64_t free_places(SemaphoreReference semaphore) {
    std::array<abi::Handle, 64> made{};
    uint64_t count = 0;
    while (count < made.size()) {
        auto copy = semaphore.get_duplicate(abi::all_rights, 0);
        if (!copy.ok()) break;
        made.at(count++) = copy->handle.release();
    }
    for (uint64_t i = 0; i < count; ++i) close_handle(made.at(i));
    return count;
}

// A client that looks for no handles: more calls than it has places for what they might bring.
void look_for_none(Child::Word* words) {
    const ServedReference object(words[object_handle].load());
    const SemaphoreReference spare(words[spare_handle].load());
    words[places_before] = free_places(spare);
    for (unsigned i = 0; i < 40; ++i) {
        const auto got = call(object, op_get);
        if (got.status.ok() && got.handle_mask == 0) words[calls].fetch_add(1);
    }
    words[places_after] = free_places(spare);
    call(object, abi::operation_word(abi::Verb::shutdown, 1));
}

// A client that takes handles in every second call, and closes them, until it is killed.
void call_for_ever(Child::Word* words) {
    const ServedReference object(words[object_handle].load());
    for (uint64_t i = 0;; ++i) {
        const auto got = call(object, i % 2 == 0 ? op_get : op_open, i);
        if (got.status.ok() && (got.handle_mask & 1) != 0) close_handle(got.words[0]);
        if (got.status.ok()) words[calls].fetch_add(1);
    }
}

// A server that gives a handle to everybody, and no handle to those who do not take any.
void give_always(const Context& test, const TableBench& bench, std::atomic<unsigned>& wrong) {
    for (;;) {
        const auto request = take(bench.table);
        if (!request.status.ok()) return;
        if (request.request == 0) continue;
        auto token = make_semaphore(test);
        if (!token.ok()) {
            answer(bench.table, request.request);
            continue;
        }
        const Status outcome = answer(bench.table, request.request, with(token->value())).status;
        const Error error = failure(outcome);
        // A client that is gone takes nothing, and nothing is said of what it would have taken.
        if (outcome == Status()) static_cast<void>(token->release());
        if (error == Error::ok) continue;
        if (error != Error::no_room || request.header.takes_handles()) ++wrong;
        if (!token->get_state().ok()) ++wrong;
        answer(bench.table, request.request);
    }
}

}  // namespace
}  // namespace annulus::test::cases

TEST(unasked, "handles that a client does not look for stay with the server: no_room") {
    auto child = MUST(Child::create(test.budget(), test.process(), test.budget(), 24));
    const auto bench = MUST(TableBench::create(test, 2));
    const auto token = MUST(make_semaphore(test, 5));
    child.words()[object_handle] = MUST(child.lend(bench.object));
    child.words()[spare_handle] = MUST(child.lend(token));
    EXPECT_OK(child.start(look_for_none));
    unsigned refused = 0;
    for (;;) {
        const auto request = take_next(bench.table);
        EXPECT_OK(request.status);
        EXPECT(!request.header.takes_handles());
        if (!request.status.ok() || request.header.verb() == abi::Verb::shutdown) {
            EXPECT_OK(answer(bench.table, request.request).status);
            break;
        }
        const Status outcome = answer(bench.table, request.request, with(token.value())).status;
        EXPECT_EQ(failure(outcome), Error::no_room);
        EXPECT_EQ(MUST(token.get_state()).value, 5);
        EXPECT_EQ(answer(bench.table, request.request).status.bits, 0);
        ++refused;
    }
    EXPECT_EQ(refused, 40);
    EXPECT_EQ(child.words()[calls].load(), 40);
    EXPECT(child.words()[places_before].load() != 0);
    EXPECT_EQ(child.words()[places_after].load(), child.words()[places_before].load());
    EXPECT_EQ(bench.free(), 2);
    EXPECT_OK(child.kill());
}

TEST(unasked_later, "a call that took handles gives no permission to the next one in its slot") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 2));
        std::atomic<unsigned> wrong = 0;
        Crew<1> crew;
        // Each request is answered by the call that takes the next: the fast path, where it may.
        EXPECT_OK(crew.add(
            [&] {
                auto request = take(bench.table);
                while (request.status.ok()) {
                    const auto token = make_semaphore(test);
                    const bool opens = request.header.takes_handles();
                    if (opens != (request.words[0] == 1) || !token.ok()) ++wrong;
                    // What can be given is not, so that the next answer is a plain one.
                    if (!opens) {
                        const auto reply = with(token.ok() ? token->value() : abi::no_handle);
                        const auto outcome = answer(bench.table, request.request, reply).status;
                        if (failure(outcome) != Error::no_room) ++wrong;
                    }
                    request = system::reply_and_wait(bench.table.value(), request.request, {},
                                                     abi::deadline_never);
                }
            },
            eager));
        for (unsigned i = 0; i < 8; ++i) {
            EXPECT_OK(call(bench.object, i % 4 == 0 ? op_open : op_get, i % 4 == 0 ? 1 : 0).status);
        }
        EXPECT_EQ(wrong.load(), 0);
        EXPECT_OK(bench.table.shutdown_fault(0));
        EXPECT_OK(crew.join());
    }));
}

TEST(passed_on, "who passes requests on says the same of handles as whoever sent them") {
    EXPECT_OK(on_one_cpu([&] {
        const auto front = MUST(TableBench::create(test, 2));
        const auto back = MUST(TableBench::create(test, 2));
        std::atomic<unsigned> wrong = 0;
        Crew<2> crew;
        EXPECT_OK(crew.add([&] { give_always(test, back, wrong); }, eager));
        // The proxy knows nothing of what it passes on.
        EXPECT_OK(crew.add(
            [&] {
                serve(front.table.value(), [&](const system::Delivery& request) {
                    const auto got = call(back.object, request.header.operation());
                    return system::Reply{.status = got.status,
                                         .words = got.words,
                                         .bytes_out = 0,
                                         .moved_mask = static_cast<uint32_t>(got.handle_mask)};
                });
            },
            eager));
        EXPECT_EQ(call(front.object, op_get).handle_mask, 0);
        const auto opened = call(front.object, op_open);
        EXPECT_OK(opened.status);
        EXPECT_EQ(opened.handle_mask, 1);
        const Semaphore arrived(opened.words[0]);
        EXPECT_EQ(MUST(arrived.get_state()).value, 0);
        EXPECT_EQ(call(front.object, op_get).handle_mask, 0);
        EXPECT_EQ(wrong.load(), 0);
        EXPECT_OK(front.table.shutdown_fault(0));
        EXPECT_OK(back.table.shutdown_fault(0));
        EXPECT_OK(crew.join());
    }));
}

TEST(unasked_killed, "clients killed while they are given handles, asked for or not, lose none") {
    const auto bench = MUST(TableBench::create(test, 4));
    std::atomic<unsigned> wrong = 0;
    Crew<2> servers;
    for (unsigned i = 0; i < 2; ++i) {
        EXPECT_OK(servers.add([&] { give_always(test, bench, wrong); }));
    }
    uint64_t called = 0;
    kill_callers(test, bench, call_for_ever, {object_handle, calls}, 12, 4, called);
    EXPECT(called > 0);
    EXPECT_EQ(wrong.load(), 0);
    EXPECT_OK(bench.table.shutdown_fault(0));
    EXPECT_OK(servers.join());
}
