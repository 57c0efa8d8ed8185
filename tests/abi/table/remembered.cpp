// SPDX-License-Identifier: MIT
// What the fast paths keep from one request to the next, when it does not hold any more.
//
// The clients and servers are pinned to CPU 0, so they take the fast paths where there is one CPU.
#include "tests/abi/table/bench.h"

namespace annulus::test::cases {
namespace {

// Answers with the cookie, the rights and the hops of the request.
system::Reply describe(const system::Delivery& delivery) {
    return {.status = {},
            .words = {{delivery.cookie, delivery.header.rights(), delivery.header.hops()}}};
}

}  // namespace
}  // namespace annulus::test::cases

TEST(remembered_handle, "a handle that was just used is refused once it is closed or used anew") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 8));
        Crew<1> crew;
        EXPECT_OK(crew.add([&] { serve(bench.table.value(), describe); }, eager));
        auto object = MUST(bench.table.create_object(1, abi::all_rights, 0));
        for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(call(object, op_get).words[0], 1);
        for (uint64_t cookie = 2; cookie < 5; ++cookie) {
            const abi::Handle old = object.value();
            object = {};
            EXPECT_ERROR(system::call_words(old, op_get).status, Error::bad_handle);
            object = MUST(bench.table.create_object(cookie, abi::all_rights, 0));
            EXPECT_EQ(abi::slot_of(object.value()), abi::slot_of(old));
            EXPECT_ERROR(system::call_words(old, op_get).status, Error::bad_handle);
            for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(call(object, op_get).words[0], cookie);
        }
        EXPECT_OK(bench.table.shutdown_fault(0));
    }));
}

TEST(remembered_rights, "each verb and each handle of an object has its own rights, in any order") {
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 8));
        Crew<1> crew;
        EXPECT_OK(crew.add([&] { serve(bench.table.value(), describe); }, eager));
        constexpr abi::Rights few = right_of(abi::Verb::get);
        const auto limited = MUST(bench.object.get_duplicate(few, 0));
        for (unsigned i = 0; i < 3; ++i) {
            const auto full = call(bench.object, op_write);
            EXPECT_OK(full.status);
            EXPECT_EQ(full.words[1], abi::all_rights);
            const auto got = system::call_words(limited.handle.value(), op_get);
            EXPECT_OK(got.status);
            EXPECT_EQ(got.words[1], few);
            EXPECT_ERROR(system::call_words(limited.handle.value(), op_write).status,
                         Error::no_right);
        }
        const auto lent =
            MUST(bench.object.get_duplicate(abi::all_rights, abi::duplicate_revocable));
        for (unsigned i = 0; i < 3; ++i) {
            EXPECT_OK(system::call_words(lent.handle.value(), op_get).status);
        }
        EXPECT_OK(bench.object.close_revoke(lent.lease));
        EXPECT_ERROR(system::call_words(lent.handle.value(), op_get).status, Error::revoked);
        EXPECT_OK(bench.table.shutdown_fault(0));
        EXPECT_ERROR(call(bench.object, op_get).status, Error::faulted);
    }));
}

TEST(two_tables, "a server thread that turns from table to table answers each request at its own") {
    EXPECT_OK(on_one_cpu([&] {
        constexpr unsigned turns = 6;
        const auto one = MUST(TableBench::create(test, 4));
        const auto two = MUST(TableBench::create(test, 4));
        const TableBench* const both[] = {&one, &two};
        Crew<2> crew;
        EXPECT_OK(crew.add(
            [&] {
                for (uint64_t turn = 0; turn < turns; ++turn) {
                    const abi::Handle table = both[turn % 2]->table.value();
                    auto taken = system::reply_and_wait(table, 0, {}, abi::deadline_never);
                    for (unsigned i = 0; i < 3; ++i) {
                        taken = system::reply_and_wait(table, taken.request,
                                                       {.status = {}, .words = {{turn}}},
                                                       abi::deadline_never);
                    }
                    system::reply_and_wait(table, taken.request, {.status = {}, .words = {{turn}}},
                                           0, abi::reply_only);
                }
                // An answer at the table that it served before the last one.
                const auto taken = take(one.table);
                EXPECT_ERROR(take(two.table, abi::deadline_poll).status, Error::timed_out);
                EXPECT_ERROR(answer(two.table, taken.request).status, Error::faulted);
                EXPECT_OK(answer(one.table, taken.request).status);
            },
            eager));
        for (uint64_t turn = 0; turn < turns; ++turn) {
            for (unsigned i = 0; i < 4; ++i) {
                const auto got = call(both[turn % 2]->object, op_get);
                EXPECT_OK(got.status);
                EXPECT_EQ(got.words[0], turn);
            }
        }
        EXPECT_OK(call(one.object, op_get).status);
        EXPECT_ERROR(call(two.object, op_get).status, Error::faulted);
        EXPECT_OK(crew.join());
    }));
}

TEST(room_of_others, "room for bytes that one request had is not the next one's in its slot") {
    // The first answer may have bytes or none.
    for (const uint32_t answered : {0u, 8u}) {
        EXPECT_OK(on_one_cpu([&] {
            const auto bench = MUST(TableBench::create(test, 2, 64));
            std::byte buffer[8] = {};
            Status second;
            Crew<1> crew;
            EXPECT_OK(crew.add(
                [&] {
                    const system::Buffer room{buffer, 0, sizeof(buffer)};
                    EXPECT_OK(system::call_buffer(bench.object.value(), op_get, room).status);
                    second = system::call_words(bench.object.value(), op_get).status;
                },
                patient));
            const auto first = take_next(bench.table);
            const auto next = system::reply_and_wait(
                bench.table.value(), first.request,
                {.status = {}, .words = {}, .bytes_out = answered}, abi::deadline_never);
            EXPECT_EQ(next.capacity_out(), 0);
            EXPECT_ERROR(
                answer(bench.table, next.request, {.status = {}, .words = {}, .bytes_out = 8})
                    .status,
                Error::faulted);
            EXPECT_OK(crew.join());
            EXPECT_EQ(second.code(), Error::faulted);
        }));
    }
}

TEST(hops_again, "a server thread's calls count the hops of its own request, not of one before") {
    EXPECT_OK(on_one_cpu([&] {
        const auto far = MUST(TableBench::create(test, 4));
        const auto near = MUST(TableBench::create(test, 4));
        Crew<2> crew;
        EXPECT_OK(crew.add([&] { serve(far.table.value(), describe); }, eager));
        EXPECT_OK(crew.add(
            [&] {
                serve(near.table.value(), [&](const system::Delivery&) {
                    return system::Reply{.status = {}, .words = call(far.object, op_get).words};
                });
            },
            eager));
        for (unsigned i = 0; i < 3; ++i) {
            EXPECT_EQ(call(near.object, op_get).words[2], 2);
            EXPECT_EQ(call(far.object, op_get).words[2], 1);
        }
        EXPECT_OK(near.table.shutdown_fault(0));
        EXPECT_OK(far.table.shutdown_fault(0));
    }));
}
