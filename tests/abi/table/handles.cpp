// SPDX-License-Identifier: MIT
// Handles that move with requests and replies: all or nothing, and never lost.

#include "tests/abi/table/bench.h"
#include "tests/guest/child.h"

namespace annulus::test::cases {
namespace {

Error state_error(abi::Handle handle) { return SemaphoreReference(handle).get_state().error(); }

// Semaphores that are told apart by their values.
struct Tokens {
    Semaphore semaphores[6];
    uint64_t words[6] = {};

    static Result<Tokens> create(const Context& test) {
        Tokens tokens;
        for (unsigned i = 0; i < 6; ++i) {
            tokens.semaphores[i] = TRY(make_semaphore(test, i + 1));
            tokens.words[i] = tokens.semaphores[i].value();
        }
        return tokens;
    }
    system::CallAnswer send(ServedReference object, unsigned mask,
                            uint64_t deadline = abi::deadline_never) const {
        return system::call_buffer(object.value(), op_share(mask), {}, words[0], words[1], words[2],
                                   words[3], words[4], words[5], deadline);
    }
    bool all_here() const {
        for (unsigned i = 0; i < 6; ++i) {
            const auto state = SemaphoreReference(words[i]).get_state();
            if (!state.ok() || state->value != i + 1) return false;
        }
        return true;
    }
};

// The server in a process with few handle slots: keeps every handle that arrives.
void hoard(Child::Word* words) {
    const abi::Handle table = words[0].load();
    serve(table, [&](const system::Delivery&) {
        words[1].fetch_add(1);
        return system::Reply{};
    });
}

// A client in a process with few handle slots: keeps every handle that an answer brings.
void collect(Child::Word* words) {
    const ServedReference object(words[0].load());
    while (call(object, op_get | abi::call_takes_handles).status.ok()) {
    }
}

Result<Budget> doomed_budget(const Context& test) {
    abi::BudgetLimits limits = {};
    limits.amount[static_cast<unsigned>(abi::Resource::kernel_bytes)] = 1 << 16;
    limits.amount[static_cast<unsigned>(abi::Resource::handles)] = 64;
    limits.cpu_weight = 100;
    return test.budget().create_budget(limits);
}

}  // namespace
}  // namespace annulus::test::cases

TEST(moves_to_server, "1 to 4 handles move with a request; 5 are too_many and all stay") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(TableBench::create(test, 2));
        std::atomic<unsigned> wrong = 0;
        std::atomic<unsigned> requests = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                serve(bench.table.value(), [&](const system::Delivery& delivery) {
                    ++requests;
                    for (unsigned i = 0; i < 6; ++i) {
                        if ((delivery.header.handle_mask() >> i & 1) == 0) continue;
                        const Semaphore arrived(delivery.words[i]);
                        const auto state = arrived.get_state();
                        if (!state.ok() || state->value != i + 1) ++wrong;
                    }
                    return system::Reply{};
                });
            },
            eager));
        // Up to moved_handles_max.
        for (const unsigned mask : {0x1u, 0x20u, 0x12u, 0x2cu, 0xfu, 0x3cu}) {
            auto tokens = MUST(Tokens::create(test));
            EXPECT_OK(tokens.send(bench.object, mask).status);
            for (unsigned i = 0; i < 6; ++i) {
                const bool moved = (mask >> i & 1) != 0;
                EXPECT_EQ(state_error(tokens.words[i]), moved ? Error::bad_handle : Error::ok);
                if (moved) static_cast<void>(tokens.semaphores[i].release());
            }
        }
        EXPECT_EQ(requests.load(), 6);
        // moved_handles_max + 1, and all six.
        for (const unsigned mask : {0x1fu, 0x3eu, 0x3fu}) {
            const auto tokens = MUST(Tokens::create(test));
            EXPECT_ERROR(tokens.send(bench.object, mask).status, Error::too_many);
            EXPECT(tokens.all_here());
        }
        EXPECT_EQ(requests.load(), 6);
        EXPECT_EQ(wrong.load(), 0);
        EXPECT_OK(bench.table.shutdown_fault(0));
    }));
}

TEST(all_or_nothing, "if one handle cannot move, none does, and the server hears nothing") {
    const auto bench = MUST(TableBench::create(test, 2));
    const auto tokens = MUST(Tokens::create(test));
    const uint64_t* words = tokens.words;
    struct Case {
        uint64_t first, second;
        Error error;
    };
    const Case wrong[] = {
        {words[0], abi::no_handle, Error::bad_handle},
        {words[0], words[1] + (uint64_t{1} << 32), Error::bad_handle},
        {words[0], words[0], Error::bad_argument},              // named twice
        {words[0], bench.object.value(), Error::bad_argument},  // carries itself
    };
    for (const Case& one : wrong) {
        const auto got =
            system::call_words(bench.object.value(), op_share(3), one.first, one.second);
        EXPECT_ERROR(got.status, one.error);
        EXPECT(tokens.all_here());
    }
    EXPECT_ERROR(take(bench.table, abi::deadline_poll).status, Error::timed_out);
    EXPECT_EQ(bench.free(), 2);
}

TEST(no_room, "handles that find no room in the server's table stay with the client: no_room") {
    auto child = MUST(Child::create(test.budget(), test.process(), test.budget(), 16));
    const auto bench = MUST(TableBench::create(test, 2));
    child.words()[0] = MUST(child.lend(bench.table));
    EXPECT_OK(child.start(hoard));
    unsigned moved = 0;
    for (;;) {
        auto tokens = MUST(Tokens::create(test));
        const auto got = tokens.send(bench.object, 0xf);
        if (!got.status.ok()) {
            EXPECT_ERROR(got.status, Error::no_room);
            EXPECT(tokens.all_here());
            break;
        }
        for (unsigned i = 0; i < abi::moved_handles_max; ++i)
            static_cast<void>(tokens.semaphores[i].release());
        moved += abi::moved_handles_max;
        if (moved > 16) break;
    }
    EXPECT(moved >= abi::moved_handles_max && moved <= 14);
    // The table lives on.
    EXPECT_OK(call(bench.object, op_get).status);
    EXPECT_EQ(child.words()[1].load(), moved / abi::moved_handles_max + 1);
    EXPECT_EQ(bench.free(), 2);
    EXPECT_OK(child.kill());
}

TEST(replied_handles, "1 to 4 handles move with a reply; what cannot leaves the request open") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(TableBench::create(test, 2));
        for (const unsigned mask : {0x1u, 0x30u, 0x3cu}) {
            system::CallAnswer got = {};
            Crew<1> crew;
            EXPECT_OK(crew.add([&] { got = call(bench.object, op_get | abi::call_takes_handles); },
                               eager));
            const auto request = take(bench.table);
            auto tokens = MUST(Tokens::create(test));
            system::Reply reply = {.status = {}, .words = {}, .bytes_out = 0, .moved_mask = 0x1f};
            for (unsigned i = 0; i < 6; ++i) reply.words[i] = tokens.words[i];
            const auto failed = [&](Error error) {
                const auto outcome = answer(bench.table, request.request, reply);
                EXPECT_OK(outcome.status);
                EXPECT_EQ(outcome.status.detail(), abi::delivery_reply_failed);
                EXPECT_EQ(static_cast<Error>(outcome.status.extra()), error);
                EXPECT(tokens.all_here());
            };
            failed(Error::too_many);
            reply.moved_mask = 3;
            reply.words[1] = abi::no_handle;
            failed(Error::bad_handle);
            reply.words[1] = reply.words[0];
            failed(Error::bad_argument);
            reply.words[1] = tokens.words[1];
            reply.moved_mask = mask;
            EXPECT_EQ(answer(bench.table, request.request, reply).status.bits, 0);
            EXPECT_OK(crew.join());
            EXPECT_EQ(got.handle_mask, mask);
            for (unsigned i = 0; i < 6; ++i) {
                if ((mask >> i & 1) == 0) continue;
                static_cast<void>(tokens.semaphores[i].release());
                const Semaphore arrived(got.words[i]);
                EXPECT_EQ(MUST(arrived.get_state()).value, i + 1);
            }
        }
        EXPECT_EQ(bench.free(), 2);
    }));
}

TEST(reply_no_room, "handles of a reply that find no room with the client stay with the server") {
    auto child = MUST(Child::create(test.budget(), test.process(), test.budget(), 16));
    const auto bench = MUST(TableBench::create(test, 2));
    child.words()[0] = MUST(child.lend(bench.object));
    EXPECT_OK(child.start(collect));
    bool refused = false;
    for (unsigned i = 0; i < 4 && !refused; ++i) {
        auto tokens = MUST(Tokens::create(test));
        system::Reply reply = {.status = {}, .words = {}, .bytes_out = 0, .moved_mask = 0xf};
        for (unsigned j = 0; j < 6; ++j) reply.words[j] = tokens.words[j];
        const auto request = take_next(bench.table);
        EXPECT_OK(request.status);
        const Status outcome = answer(bench.table, request.request, reply).status;
        refused = outcome.detail() == abi::delivery_reply_failed;
        if (refused) {
            EXPECT_EQ(static_cast<Error>(outcome.extra()), Error::no_room);
            EXPECT(tokens.all_here());
            EXPECT_EQ(answer(bench.table, request.request).status.bits, 0);
        } else {
            EXPECT_EQ(outcome.bits, 0);
            for (unsigned j = 0; j < abi::moved_handles_max; ++j) {
                static_cast<void>(tokens.semaphores[j].release());
            }
        }
    }
    EXPECT(refused);
    EXPECT_OK(child.kill());
}

TEST(busy, "a handle in a request that waits is busy: no use, no close; a time-out frees it") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 2));
        const auto tokens = MUST(Tokens::create(test));
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                const auto got =
                    tokens.send(bench.object, 1, now() + milliseconds(100).nanoseconds);
                EXPECT_ERROR(got.status, Error::timed_out);
            },
            eager));
        const abi::Handle handle = tokens.words[0];
        EXPECT_EQ(state_error(handle), Error::busy);
        EXPECT_ERROR(system::signal(handle), Error::busy);
        EXPECT_ERROR(system::wait(handle, 0, 0).status, Error::busy);
        EXPECT_ERROR(SemaphoreReference(handle).get_duplicate(abi::all_rights, 0), Error::busy);
        const auto close = abi::operation_word(abi::Verb::close, abi::selector_universal);
        EXPECT_ERROR(system::call_words(handle, close).status, Error::busy);
        EXPECT_ERROR(tokens.send(bench.object, 1).status, Error::busy);
        EXPECT_OK(crew.join());
        EXPECT(tokens.all_here());
        EXPECT_EQ(bench.free(), 2);
    }));
}

TEST(object_ends_in_request, "a handle whose object ends while a request carries it: closed") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 2));
        const auto budget = MUST(doomed_budget(test));
        const auto done = MUST(make_semaphore(test));
        auto doomed =
            MUST(budget.create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
        auto tokens = MUST(Tokens::create(test));
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                const auto got = system::call_words(bench.object.value(), op_share(3),
                                                    doomed.value(), tokens.words[1]);
                EXPECT_ERROR(got.status, Error::closed);
            },
            eager));
        EXPECT_EQ(MUST(bench.table.get_state()).queued, 1);
        EXPECT_OK(budget.remove_destroy(done));
        EXPECT_OK(wait_for(done));
        EXPECT_ERROR(take(bench.table, abi::deadline_poll).status, Error::timed_out);
        EXPECT_OK(crew.join());
        EXPECT(tokens.all_here());
        EXPECT_EQ(bench.free(), 2);
    }));
}

TEST(killed_for_a_slot, "a client killed while it waits for a slot leaves its handles usable") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 1));
        const auto tokens = MUST(Tokens::create(test));
        Crew<2> crew;
        EXPECT_OK(crew.add([&] { EXPECT_OK(call(bench.object, op_get).status); }, eager));
        EXPECT_OK(crew.add([&] { static_cast<void>(tokens.send(bench.object, 0xf)); }, eager));
        EXPECT_EQ(MUST(bench.table.get_state()).clients, 1);
        EXPECT_EQ(state_error(tokens.words[0]), Error::busy);
        EXPECT_OK(crew[1].remove_kill(0));
        EXPECT(tokens.all_here());
        EXPECT_EQ(MUST(bench.table.get_state()).clients, 0);
        const auto request = take(bench.table);
        EXPECT_OK(answer(bench.table, request.request).status);
        EXPECT_OK(crew.join());
        EXPECT_EQ(bench.free(), 1);
    }));
}
