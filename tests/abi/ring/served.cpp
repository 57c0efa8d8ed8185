// SPDX-License-Identifier: MIT
// Operations of rings on served objects: they are requests like those of threads.

#include "tests/abi/ring/bench.h"
#include "tests/guest/ledger.h"
#include "tests/guest/table_bench.h"

namespace annulus::test::cases {
namespace {

abi::SubmissionEntry request(HandleValue object, uint64_t user_data, uint64_t word = 0) {
    abi::SubmissionEntry entry = ring_operation(object, abi::Verb::get, 1, user_data);
    entry.words[0] = word;
    return entry;
}
abi::SubmissionEntry linked(abi::SubmissionEntry entry) {
    entry.flags |= abi::ring_link;
    return entry;
}

// Adds one to word 0, and answers the bytes that it got, inverted.
system::Reply echo(const TableBench& server, const system::Delivery& delivery) {
    const uint32_t count = delivery.bytes_in() < delivery.capacity_out() ? delivery.bytes_in()
                                                                         : delivery.capacity_out();
    for (uint32_t i = 0; i < count; ++i) {
        std::byte& byte = server.block(delivery.request)[i];
        byte = ~byte;
    }
    return {.status = {}, .words = {{delivery.words[0] + 1}}, .bytes_out = count, .moved_mask = 0};
}

}  // namespace
}  // namespace annulus::test::cases

TEST(header, "a server sees a ring's request as it sees a call, and its answer completes it") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(RingBench::create(test, 4));
        auto server = MUST(TableBench::create(test, 2, 64));
        const uint64_t deadline = now() + seconds(100).nanoseconds;
        abi::SubmissionEntry entry = ring_operation(server.object, abi::Verb::list, 0xfeff, 42);
        entry.words[0] = 1;
        entry.words[1] = 2;
        entry.deadline = deadline;
        EXPECT(!MUST(bench.begin(entry)).has_value());
        const auto seen = take_next(server.table);
        EXPECT_OK(seen.status);
        EXPECT_EQ(seen.cookie, bench_cookie);
        EXPECT_EQ(seen.header.verb(), abi::Verb::list);
        EXPECT_EQ(seen.header.selector(), 0xfeff);
        EXPECT_EQ(seen.header.rights(), abi::all_rights);
        EXPECT_EQ(seen.header.hops(), 1);
        EXPECT_EQ(seen.header.handle_mask(), 0);
        EXPECT(!seen.header.takes_handles());
        EXPECT_EQ(seen.words[0], 1);
        EXPECT_EQ(seen.words[1], 2);
        EXPECT_EQ(seen.words[2], 0);
        EXPECT_EQ(seen.deadline, deadline);
        EXPECT_EQ(MUST(server.table.get_state()).taken, 1);
        EXPECT_OK(answer(server.table, seen.request,
                         {.status = Status(Error::refused, 7, 9), .words = {}})
                      .status);
        const auto done = MUST(bench.ring.take(Deadline::poll()));
        EXPECT_EQ(done.user_data, 42);
        EXPECT_EQ(done.code(), Error::refused);
        EXPECT_EQ(done.detail(), 7);
        EXPECT_EQ(done.count, 9);
        EXPECT_EQ(server.free(), 2);
    }));
}

TEST(served_bytes, "bytes go to a served object and come back, at every size up to a block") {
    for (const uint32_t block : {64u, 4096u, 65536u}) {
        EXPECT_OK(on_one_cpu([&] {
            auto bench = MUST(RingBench::create(test, 4));
            auto server = MUST(TableBench::create(test, 3, block));
            Crew<1> crew;
            EXPECT_OK(crew.add([&] {
                serve(server.table.value(), [&](const auto& d) { return echo(server, d); });
            }));
            for (const uint32_t size : {1u, block / 2 + 1, block}) {
                for (uint32_t i = 0; i < size; ++i) {
                    bench.bytes()[77 + i] = static_cast<unsigned char>(i * 7);
                }
                abi::SubmissionEntry entry = ring_write(server.object, 5, {0, 77, size}, 1);
                entry.capacity_out = 2 * block;
                if (77 + 2 * block > RingBench::pages * abi::page_size) entry.capacity_out = block;
                const auto done = MUST(bench.run(entry));
                EXPECT_OK(Status(done.code()));
                EXPECT_EQ(done.count, size);
                uint32_t wrong = 0;
                for (uint32_t i = 0; i < size; ++i) {
                    wrong += bench.bytes()[77 + i] !=
                             static_cast<unsigned char>(~static_cast<unsigned char>(i * 7));
                }
                EXPECT_EQ(wrong, 0);
                const auto written = MUST(bench.run(ring_write(server.object, 5, {0, 0, size}, 1)));
                EXPECT_EQ(written.count, 6);  // word 0 of the answer
            }
            if (block < 65536) {
                const auto over =
                    MUST(bench.run(ring_write(server.object, 0, {0, 0, block + 1}, 1)));
                EXPECT_EQ(over.code(), Error::limit);
                EXPECT_EQ(over.count, block);
            }
            EXPECT_EQ(server.free(), 3);
            EXPECT_OK(server.table.shutdown_fault(0));
        }));
    }
}

TEST(words, "with a block of words all six travel both ways") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(RingBench::create(test, 4));
        auto server = MUST(TableBench::create(test, 2));
        abi::RingWords words = {};
        for (uint64_t i = 0; i < 6; ++i) words.words[i] = 100 + i;
        memcpy(bench.bytes() + 3 * 64, &words, sizeof(words));
        abi::SubmissionEntry entry = request(server.object, 1, 7);
        entry.flags = abi::ring_words;
        entry.memory = 0;
        entry.words[1] = 8;
        entry.words_block = 3;
        EXPECT(!MUST(bench.begin(entry)).has_value());
        const auto seen = take_next(server.table);
        EXPECT_EQ(seen.words[0], 7);
        EXPECT_EQ(seen.words[1], 8);
        for (unsigned i = 2; i < 6; ++i) EXPECT_EQ(seen.words[i], 100 + i);
        EXPECT_OK(
            answer(server.table, seen.request, {.status = {}, .words = {{11, 12, 13, 14, 15, 16}}})
                .status);
        EXPECT_EQ(MUST(bench.ring.take(Deadline::poll())).count, 11);
        memcpy(&words, bench.bytes() + 3 * 64, sizeof(words));
        for (uint64_t i = 0; i < 6; ++i) EXPECT_EQ(words.words[i], 11 + i);
        EXPECT_EQ(words.handle_mask, 0);
        entry.words_block = RingBench::pages * 64;
        EXPECT_EQ(bench.outcome(entry), Error::out_of_range);
        entry.memory = abi::ring_no_memory;
        EXPECT_EQ(bench.outcome(entry), Error::bad_argument);
    }));
}

TEST(served_rights,
     "an operation without the verb's right is no_right, and the server hears nothing") {
    auto bench = MUST(RingBench::create(test, 4));
    const auto server = MUST(TableBench::create(test, 1));
    const auto limited = MUST(server.object.get_duplicate(right_of(abi::Verb::read), 0));
    const auto done = MUST(bench.run(request(limited.handle, 1)));
    EXPECT_EQ(done.code(), Error::no_right);
    EXPECT_EQ(done.detail(), static_cast<unsigned>(abi::Verb::get));
    EXPECT_ERROR(take(server.table, abi::deadline_poll).status, Error::timed_out);
    EXPECT_EQ(bench.outcome(request(HandleValue(0x7fffffff00000007), 1)), Error::bad_handle);
}

TEST(remembered_object, "each request's handle is checked anew: rights, other objects, closing") {
    auto bench = MUST(RingBench::create(test, 4));
    auto server = MUST(TableBench::create(test, 4));
    auto other = MUST(server.table.create_object(bench_cookie + 1, abi::all_rights, 0));
    const auto limited = MUST(server.object.get_duplicate(right_of(abi::Verb::read), 0));
    // A batch over both objects and the handle without the right: each goes where it names.
    const HandleValue handles[] = {server.object, limited.handle, other, server.object};
    for (uint64_t i = 0; i < 4; ++i) *bench.ring.prepare() = request(handles[i], i);
    EXPECT_EQ(MUST(bench.ring.submit(1)), 4);
    const auto refused = MUST(bench.ring.take());
    EXPECT_EQ(refused.user_data, 1);
    EXPECT_EQ(refused.code(), Error::no_right);
    for (const uint64_t cookie : {bench_cookie, bench_cookie + 1, bench_cookie}) {
        const auto seen = take_next(server.table);
        EXPECT_EQ(seen.cookie, cookie);
        EXPECT_OK(answer(server.table, seen.request, {}).status);
        EXPECT_OK(Status(MUST(bench.ring.take()).code()));
    }
    // The handle that was named last is closed, and its place goes to another object. The first one
    // lives on by another handle.
    const auto kept = MUST(other.get_duplicate(abi::all_rights, 0));
    const HandleValue closed = other;
    EXPECT(!MUST(bench.begin(request(other, 5))).has_value());
    const auto seen = take_next(server.table);
    EXPECT_OK(answer(server.table, seen.request, {}).status);
    EXPECT_OK(Status(MUST(bench.ring.take()).code()));
    other.close();
    const auto next = MUST(server.table.create_object(bench_cookie + 2, abi::all_rights, 0));
    EXPECT_EQ(abi::slot_of(next.value()), abi::slot_of(closed.value()));
    const auto done = MUST(bench.begin(request(closed, 6)));
    EXPECT(done.has_value() && done->code() == Error::bad_handle);
    EXPECT_EQ(server.free(), 4);  // no request came
}

TEST(many, "many operations on several objects with several servers: each gets its own answer") {
    constexpr uint32_t depth = 64;
    constexpr uint64_t total = 2'000;
    auto bench = MUST(RingBench::create(test, depth));
    auto first = MUST(TableBench::create(test, 4, 64));
    auto second = MUST(TableBench::create(test, 16, 64));
    Crew<4> crew;
    for (unsigned i = 0; i < 4; ++i) {
        const TableBench& server = i % 2 == 0 ? first : second;
        EXPECT_OK(crew.add([&server] {
            serve(server.table.value(), [&](const auto& d) { return echo(server, d); });
        }));
    }
    uint64_t sent = 0;
    uint64_t seen = 0;
    uint64_t wrong = 0;
    while (seen < total) {
        while (sent < total) {
            abi::SubmissionEntry* entry = bench.ring.prepare();
            if (entry == nullptr) break;
            *entry = request(sent % 3 == 0 ? first.object : second.object, sent, sent * 10);
            ++sent;
        }
        const auto submitted = bench.ring.submit(1, Deadline{now() + seconds(10).nanoseconds});
        if (!submitted.ok()) {
            const auto a = MUST(first.table.get_state());
            const auto b = MUST(second.table.get_state());
            test.fail("submit: {}, seen {} sent {} fl {} first {} {} {} {} second {} {} {} {}",
                      abi::name_of(submitted.error()), seen, sent, bench.in_flight(), a.free,
                      a.queued, a.taken, a.clients, b.free, b.queued, b.taken, b.clients);
            static_cast<void>(first.table.shutdown_fault(0));
            static_cast<void>(second.table.shutdown_fault(0));
            return;
        }
        abi::CompletionEntry done;
        while (bench.ring.next(done)) {
            ++seen;
            if (!done.ok() || done.count != static_cast<uint32_t>(done.user_data * 10 + 1)) ++wrong;
        }
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(bench.in_flight(), 0);
    EXPECT_EQ(first.free(), 4);
    EXPECT_EQ(second.free(), 16);
    EXPECT_OK(first.table.shutdown_fault(0));
    EXPECT_OK(second.table.shutdown_fault(0));
    report_count("operations", seen);
}

TEST(full_table, "operations without a slot wait in order, among calls of threads") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(RingBench::create(test, 8));
        auto server = MUST(TableBench::create(test, 1));
        for (uint64_t i = 0; i < 2; ++i) *bench.ring.prepare() = request(server.object, i, i);
        EXPECT_EQ(MUST(bench.ring.submit()), 2);
        Crew<1> crew;
        EXPECT_OK(crew.add([&] { system::call_words(server.object.value(), op_get, 2); }, eager));
        *bench.ring.prepare() = request(server.object, 3, 3);
        EXPECT_EQ(MUST(bench.ring.submit()), 1);
        EXPECT_EQ(MUST(server.table.get_state()).clients, 3);
        for (uint64_t i = 0; i < 4; ++i) {
            const auto seen = take_next(server.table);
            EXPECT_OK(seen.status);
            EXPECT_EQ(seen.words[0], i);
            EXPECT_OK(answer(server.table, seen.request).status);
        }
        EXPECT_OK(crew.join());
        uint64_t count = 0;
        abi::CompletionEntry done;
        while (bench.ring.next(done)) ++count;
        EXPECT_EQ(count, 3);
        EXPECT_EQ(server.free(), 1);
    }));
}

TEST(fair_share,
     "above half full, one client's operations hold no more than its share of the slots") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(RingBench::create(test, 16));
        auto server = MUST(TableBench::create(test, 8));
        // One client's share of half the slots is four.
        for (uint64_t i = 0; i < 8; ++i) *bench.ring.prepare() = request(server.object, i);
        EXPECT_EQ(MUST(bench.ring.submit()), 8);
        const auto state = MUST(server.table.get_state());
        EXPECT_EQ(state.queued, 4);
        EXPECT_EQ(state.clients, 4);
        EXPECT_EQ(state.free, 4);
    }));
}

TEST(chain_of_requests, "a chain goes on when the server answers, and ends when it refuses") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(RingBench::create(test, 8));
        auto server = MUST(TableBench::create(test, 4));
        for (uint64_t i = 0; i < 2; ++i) {
            *bench.ring.prepare() = linked(request(server.object, i, i));
        }
        *bench.ring.prepare() = request(server.object, 2, 2);
        EXPECT_EQ(MUST(bench.ring.submit()), 3);
        EXPECT_EQ(MUST(server.table.get_state()).queued, 1);
        EXPECT_OK(answer(server.table, take_next(server.table).request).status);
        const auto second = take_next(server.table);
        EXPECT_EQ(second.words[0], 1);
        EXPECT_OK(
            answer(server.table, second.request, {.status = Error::refused, .words = {}}).status);
        EXPECT_OK(bench.ring.submit(3));
        EXPECT_EQ(MUST(bench.ring.take()).code(), Error::ok);
        EXPECT_EQ(MUST(bench.ring.take()).code(), Error::refused);
        EXPECT_EQ(MUST(bench.ring.take()).code(), Error::cancelled);
        EXPECT_ERROR(take(server.table, abi::deadline_poll).status, Error::timed_out);
    }));
}

TEST(landing, "handles of an answer land at values that were known before, for the chain to use") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(RingBench::create(test, 8));
        auto server = MUST(TableBench::create(test, 4));
        const auto values = MUST(bench.ring.handle().create_landing(3, 2));
        EXPECT_ERROR(bench.ring.handle().create_landing(4, 1), Error::busy);
        EXPECT_ERROR(bench.ring.handle().create_landing(7, 2), Error::bad_argument);
        EXPECT_ERROR(bench.ring.handle().create_landing(0, 5), Error::bad_argument);
        const ServedReference opened(values.value_0);
        EXPECT_ERROR(opened.get_info(), Error::bad_handle);
        abi::SubmissionEntry open = linked(request(server.object, 1));
        open.landing = 3;
        open.landing_count = 2;
        *bench.ring.prepare() = open;
        *bench.ring.prepare() = linked(request(opened, 2, 50));
        *bench.ring.prepare() = ring_close(opened, 3);
        EXPECT_EQ(MUST(bench.ring.submit()), 3);
        const auto seen = take_next(server.table);
        auto token = MUST(test.budget().create_semaphore(abi::semaphore_counting, 5, {}, 0));
        auto object = MUST(server.table.create_object(99, abi::all_rights, 0));
        EXPECT_OK(
            answer(
                server.table, seen.request,
                {.status = {}, .words = {{object.release(), 17, token.release()}}, .moved_mask = 5})
                .status);
        const auto used = take_next(server.table);
        EXPECT_EQ(used.cookie, 99);
        EXPECT_EQ(used.words[0], 50);
        EXPECT_OK(answer(server.table, used.request).status);
        EXPECT_OK(bench.ring.submit(3));
        abi::CompletionEntry done;
        while (bench.ring.next(done)) EXPECT_EQ(done.code(), Error::ok);
        const Semaphore landed(values.value_1);
        EXPECT_EQ(MUST(landed.get_state()).value, 5);
        EXPECT_ERROR(opened.get_info(), Error::bad_handle);
        EXPECT_OK(bench.ring.handle().create_landing(3, 2));
    }));
}

TEST(no_landing, "handles without a reserved value do not arrive: the server keeps them") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(RingBench::create(test, 8));
        auto server = MUST(TableBench::create(test, 4));
        EXPECT_OK(bench.ring.handle().create_landing(0, 1));
        abi::SubmissionEntry open = request(server.object, 1);
        open.landing_count = 2;
        EXPECT(!MUST(bench.begin(open)).has_value());
        const auto seen = take_next(server.table);
        EXPECT(seen.header.takes_handles());
        auto one = MUST(test.budget().create_semaphore(abi::semaphore_counting, 1, {}, 0));
        auto two = MUST(test.budget().create_semaphore(abi::semaphore_counting, 2, {}, 0));
        const auto refused =
            answer(server.table, seen.request,
                   {.status = {}, .words = {{one.value(), two.value()}}, .moved_mask = 3})
                .status;
        EXPECT_EQ(refused.detail(), abi::delivery_reply_failed);
        EXPECT_EQ(refused.extra(), static_cast<uint32_t>(Error::no_room));
        EXPECT_EQ(MUST(one.get_state()).value, 1);
        EXPECT_EQ(MUST(two.get_state()).value, 2);
        EXPECT_OK(answer(server.table, seen.request,
                         {.status = {}, .words = {{one.release()}}, .moved_mask = 1})
                      .status);
        EXPECT_EQ(MUST(bench.ring.take()).code(), Error::ok);
        open.landing_count = 5;
        EXPECT_EQ(bench.outcome(open), Error::bad_argument);
    }));
}

TEST(moved_handles, "a request's handles move when it is taken, and stay when it never was") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(RingBench::create(test, 8));
        auto server = MUST(TableBench::create(test, 4));
        auto token = MUST(test.budget().create_semaphore(abi::semaphore_counting, 3, {}, 0));
        abi::SubmissionEntry give = request(server.object, 1, token.value());
        give.moved_mask = 1;
        EXPECT(!MUST(bench.begin(give)).has_value());
        EXPECT_ERROR(token.get_state(), Error::busy);
        EXPECT_EQ(bench.outcome(ring_cancel(1, 2)), Error::cancelled);
        EXPECT_EQ(MUST(bench.ring.take()).code(), Error::ok);
        EXPECT_EQ(MUST(token.get_state()).value, 3);
        EXPECT(!MUST(bench.begin(give)).has_value());
        const auto seen = take_next(server.table);
        EXPECT_EQ(seen.header.handle_mask(), 1);
        EXPECT_ERROR(token.get_state(), Error::bad_handle);
        static_cast<void>(token.release());
        const Semaphore arrived(seen.words[0]);
        EXPECT_EQ(MUST(arrived.get_state()).value, 3);
        // A completion could not say that it came back.
        system::Reply back = {.status = Error::refused, .words = {}};
        back.moved_mask = 1 | abi::reply_returns >> 32;
        const auto refused = answer(server.table, seen.request, back).status;
        EXPECT_EQ(refused.detail(), abi::delivery_reply_failed);
        EXPECT_EQ(refused.extra(), static_cast<uint32_t>(Error::not_supported));
        EXPECT_EQ(MUST(arrived.get_state()).value, 3);
        EXPECT_OK(answer(server.table, seen.request).status);
        EXPECT_EQ(MUST(bench.ring.take()).code(), Error::ok);
        give.words[0] = server.object.value();
        EXPECT_EQ(bench.outcome(give), Error::bad_argument);
        give.words[0] = 0x7fffffff00000007;
        EXPECT_EQ(bench.outcome(give), Error::bad_handle);
        give.moved_mask = 0x40;
        EXPECT_EQ(bench.outcome(give), Error::bad_argument);
    }));
}
