// SPDX-License-Identifier: MIT
// Calls and replies: words, bytes, refusals, and what can be made.

#include "tests/abi/table/bench.h"
#include "tests/guest/ledger.h"

const char* const annulus::test::suite = "table";

namespace annulus::test::cases {
namespace {

// Echoes bytes and words; word 1 of the request limits the bytes.
struct EchoServer {
    explicit EchoServer(TableBench& bench) : bench_(bench) {}
    system::Reply operator()(const system::Delivery& delivery) const {
        const auto count = static_cast<uint32_t>(delivery.words[1]);
        for (uint32_t i = 0; i < delivery.bytes_in(); ++i) {
            std::byte& byte = bench_.block(delivery.request)[i];
            byte = static_cast<std::byte>(~static_cast<unsigned>(byte));
        }
        return {.status = {}, .words = delivery.words, .bytes_out = count, .moved_mask = 0};
    }

private:
    TableBench& bench_;
};

constexpr uint64_t buffer_pages = 17;

}  // namespace
}  // namespace annulus::test::cases

TEST(words,
     "a call's words, cookie, verb, rights, deadline and hops arrive, and the reply's words") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(TableBench::create(test, 2));
        system::Delivery seen = {};
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                serve(bench.table.value(), [&](const system::Delivery& delivery) {
                    seen = delivery;
                    system::Reply reply = {.status = Status(Error::refused, 7, 9), .words = {}};
                    for (unsigned i = 0; i < 6; ++i) reply.words[i] = delivery.words[i] * 3;
                    return reply;
                });
            },
            eager));
        const uint64_t deadline = now() + seconds(100).nanoseconds;
        const auto got =
            system::call_buffer(bench.object.value(), abi::operation_word(abi::Verb::list, 0xfeff),
                                {}, 1, 2, 3, 4, 5, 6, deadline);
        EXPECT_EQ(got.status.bits, Status(Error::refused, 7, 9).bits);
        for (unsigned i = 0; i < 6; ++i) {
            EXPECT_EQ(got.words[i], 3 * (i + 1));
            EXPECT_EQ(seen.words[i], i + 1);
        }
        EXPECT_EQ(seen.cookie, bench_cookie);
        EXPECT_EQ(seen.header.verb(), abi::Verb::list);
        EXPECT_EQ(seen.header.selector(), 0xfeff);
        EXPECT_EQ(seen.header.rights(), abi::all_rights);
        EXPECT_EQ(seen.header.hops(), 1);
        EXPECT_EQ(seen.header.handle_mask(), 0);
        EXPECT_EQ(seen.deadline, deadline);
        EXPECT_EQ(seen.bytes_in(), 0);
        EXPECT(seen.client != 0);
        EXPECT_OK(bench.table.shutdown_fault(0));
    }));
}

TEST(rights, "a call without the verb's right is no_right, and the server hears nothing of it") {
    const auto bench = MUST(TableBench::create(test, 1));
    const auto limited = MUST(bench.object.get_duplicate(right_of(abi::Verb::read), 0));
    const auto got = system::call_words(limited.handle.value(), op_get);
    EXPECT_ERROR(got.status, Error::no_right);
    EXPECT_EQ(got.status.detail(), static_cast<unsigned>(abi::Verb::get));
    EXPECT_ERROR(take(bench.table, abi::deadline_poll).status, Error::timed_out);
    const auto powerless = MUST(bench.table.get_duplicate(right_of(abi::Verb::get), 0));
    EXPECT_ERROR(system::reply_and_wait(powerless.handle.value(), 0, {}, 0).status,
                 Error::no_right);
}

TEST(unknown_bits, "unknown bits of an operation word or of a reply's flags are not_supported") {
    const auto bench = MUST(TableBench::create(test, 1));
    for (const unsigned bit : {4u, 15u, 41u, 63u}) {
        EXPECT_ERROR(call(bench.object, op_get | uint64_t{1} << bit).status, Error::not_supported);
    }
    for (const unsigned bit : {38u, 47u, 51u, 63u}) {
        EXPECT_ERROR(
            system::reply_and_wait(bench.table.value(), 0, {}, 0, uint64_t{1} << bit).status,
            Error::not_supported);
    }
    EXPECT_EQ(bench.free(), 1);
}

TEST(sizes, "tables have 1 to 1024 slots and blocks of a power of two from 64 to 65536 bytes") {
    const auto memory = MUST(test.budget().create_memory(16, 0));
    const BudgetReference budget = test.budget();
    EXPECT_OK(budget.create_table(abi::table_slots_max, 0, {}, 0));
    EXPECT_ERROR(budget.create_table(abi::table_slots_max + 1, 0, {}, 0), Error::bad_argument);
    EXPECT_ERROR(budget.create_table(0, 0, {}, 0), Error::bad_argument);
    EXPECT_OK(budget.create_table(1, 64, memory, 0));
    EXPECT_OK(budget.create_table(1, abi::table_block_max, memory, 0));
    for (const uint64_t block : {uint64_t{1}, uint64_t{32}, uint64_t{63}, uint64_t{96},
                                 2 * abi::table_block_max, ~uint64_t{0}}) {
        EXPECT_ERROR(budget.create_table(1, block, memory, 0), Error::bad_argument);
    }
    EXPECT_ERROR(budget.create_table(1, 64, {}, 0), Error::bad_argument);
    EXPECT_ERROR(budget.create_table(1, 0, memory, 0), Error::bad_argument);
    EXPECT_ERROR(budget.create_table(1, 64, memory, 8), Error::bad_argument);
    EXPECT_OK(budget.create_table(1, 4096, memory, 15 * abi::page_size));
    EXPECT_ERROR(budget.create_table(2, 4096, memory, 15 * abi::page_size), Error::out_of_range);
    EXPECT_ERROR(budget.create_table(1, 64, memory, 16 * abi::page_size), Error::out_of_range);
    EXPECT_ERROR(budget.create_table(1, 64, memory, ~uint64_t{4095}), Error::out_of_range);
    const auto revocable = MUST(budget.create_memory(1, abi::memory_revocable));
    EXPECT_ERROR(budget.create_table(1, 64, revocable, 0), Error::may_fault);
}

TEST(bytes, "bytes travel both ways at every size up to a block, wherever the buffer lies") {
    const auto memory = MUST(test.budget().create_memory(buffer_pages, 0));
    const uint64_t size = buffer_pages * abi::page_size;
    const uint64_t begin =
        MUST(test.process().map(memory, 0, size, 0, abi::map_read | abi::map_write));
    for (const uint32_t block : {64u, 4096u, 65536u}) {
        EXPECT_OK(on_one_cpu([&] {
            auto bench = MUST(TableBench::create(test, 3, block));
            Crew<1> crew;
            EXPECT_OK(crew.add([&] { serve(bench.table.value(), EchoServer(bench)); }, eager));
            for (const uint32_t count : {0u, 1u, 7u, block / 2 + 1, block - 1, block}) {
                for (const uint64_t place : {uint64_t{0}, uint64_t{1}, abi::page_size - 3}) {
                    // Safety: inside the mapped pages.
                    auto* buffer = reinterpret_cast<unsigned char*>(begin + place);
                    for (uint32_t i = 0; i < count; ++i) {
                        buffer[i] = static_cast<unsigned char>(i * 7 + i / 256);
                    }
                    const auto got = system::call_buffer(bench.object.value(), op_write,
                                                         {buffer, count, 2 * block}, 0, count);
                    EXPECT_OK(got.status);
                    EXPECT_EQ(got.bytes_out, count);
                    uint32_t wrong = 0;
                    for (uint32_t i = 0; i < count; ++i) {
                        wrong += buffer[i] != static_cast<unsigned char>(~(i * 7 + i / 256));
                    }
                    EXPECT_EQ(wrong, 0);
                }
            }
            // Safety: as above.
            auto* buffer = reinterpret_cast<void*>(begin);
            const auto over =
                system::call_buffer(bench.object.value(), op_write, {buffer, block + 1, 0});
            EXPECT_ERROR(over.status, Error::limit);
            EXPECT_EQ(over.status.extra(), block);
            EXPECT_EQ(bench.free(), 3);
            EXPECT_OK(bench.table.shutdown_fault(0));
        }));
    }
    EXPECT_OK(test.process().map_unmap(begin, size));
}

TEST(no_block, "a table without blocks takes and gives no bytes") {
    const auto bench = MUST(TableBench::create(test, 1));
    char byte = 0;
    EXPECT_ERROR(system::call_buffer(bench.object.value(), op_write, {&byte, 1, 0}).status,
                 Error::limit);
    EXPECT_ERROR(system::call_buffer(bench.object.value(), op_write, {&byte, 0, 1}).status,
                 Error::limit);
    EXPECT_EQ(bench.free(), 1);
}

TEST(bad_buffers, "a buffer that ends in unmapped memory is bad_address, and the slot comes back") {
    const auto memory = MUST(test.budget().create_memory(2, 0));
    const uint64_t begin =
        MUST(test.process().map(memory, 0, 2 * abi::page_size, 0, abi::map_read | abi::map_write));
    EXPECT_OK(test.process().map_unmap(begin + abi::page_size, abi::page_size));
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(TableBench::create(test, 2, 4096));
        std::atomic<unsigned> requests = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                serve(bench.table.value(), [&](const system::Delivery& delivery) {
                    ++requests;
                    return EchoServer(bench)(delivery);
                });
            },
            eager));
        const uint64_t addresses[] = {begin + abi::page_size - 100,
                                      0,
                                      abi::user_end - 8,
                                      0xffff800000000000,
                                      ~uint64_t{0} - 50,
                                      uint64_t{1} << 62};
        for (const uint64_t address : addresses) {
            // Safety: only the kernel looks at it.
            auto* buffer = reinterpret_cast<void*>(address);
            EXPECT_ERROR(
                system::call_buffer(bench.object.value(), op_write, {buffer, 200, 0}).status,
                Error::bad_address);
            EXPECT_EQ(requests.load(), 0);
        }
        unsigned answered = 0;
        for (const uint64_t address : addresses) {
            auto* buffer = reinterpret_cast<void*>(address);
            EXPECT_ERROR(
                system::call_buffer(bench.object.value(), op_write, {buffer, 0, 200}, 0, 200)
                    .status,
                Error::bad_address);
            EXPECT_EQ(requests.load(), ++answered);
            EXPECT_EQ(bench.free(), 2);
        }
        EXPECT_OK(bench.table.shutdown_fault(0));
    }));
    EXPECT_OK(test.process().map_unmap(begin, abi::page_size));
}

TEST(poll, "a server may poll, may wait with a deadline, and may answer without waiting") {
    EXPECT_OK(on_one_cpu([&] {
        auto bench = MUST(TableBench::create(test, 2));
        EXPECT_ERROR(take(bench.table, abi::deadline_poll).status, Error::timed_out);
        const uint64_t soon = now() + 500'000;
        EXPECT_ERROR(take(bench.table, soon).status, Error::timed_out);
        EXPECT(now() >= soon);
        uint64_t answered = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add([&] { answered = call(bench.object, op_get).words[0]; }, eager));
        const auto request = take(bench.table, abi::deadline_poll);
        EXPECT_OK(request.status);
        EXPECT_EQ(answered, 0);
        EXPECT_OK(answer(bench.table, request.request, {.status = {}, .words = {{17}}}).status);
        EXPECT_OK(crew.join());
        EXPECT_EQ(answered, 17);
        EXPECT_EQ(bench.free(), 2);
    }));
}

TEST(past_deadline, "a call whose deadline has passed is timed_out, and never reaches the server") {
    const auto bench = MUST(TableBench::create(test, 1));
    for (const uint64_t deadline : {uint64_t{0}, uint64_t{1}, now() - 1}) {
        EXPECT_ERROR(call(bench.object, op_get, 0, deadline).status, Error::timed_out);
    }
    EXPECT_ERROR(take(bench.table, abi::deadline_poll).status, Error::timed_out);
}

TEST(out_of_order, "requests may be answered later, in any order, by any thread") {
    EXPECT_OK(on_one_cpu([&] {
        constexpr unsigned count = 4;
        auto bench = MUST(TableBench::create(test, 2 * count));
        uint64_t answers[count] = {};
        Crew<count + 1> crew;
        for (unsigned i = 0; i < count; ++i) {
            EXPECT_OK(
                crew.add([&, i] { answers[i] = call(bench.object, op_get, i).words[0]; }, eager));
        }
        system::Delivery taken[count];
        for (unsigned i = 0; i < count; ++i) {
            taken[i] = take(bench.table);
            EXPECT_EQ(taken[i].words[0], i);
        }
        const auto state = MUST(bench.table.get_state());
        EXPECT_EQ(state.taken, count);
        EXPECT_EQ(state.queued, 0);
        EXPECT_OK(crew.add(
            [&] {
                for (const unsigned i : {2u, 0u, 3u, 1u}) {
                    static_cast<void>(answer(bench.table, taken[i].request,
                                             {.status = {}, .words = {{100 + taken[i].words[0]}}}));
                }
            },
            eager));
        EXPECT_OK(crew.join());
        for (unsigned i = 0; i < count; ++i) EXPECT_EQ(answers[i], 100 + i);
        EXPECT_EQ(bench.free(), 2 * count);
    }));
}

TEST(many_servers, "several server threads and several clients: every call gets its own answer") {
    constexpr unsigned clients = 4;
    constexpr uint64_t calls = 5'000;
    auto bench = MUST(TableBench::create(test, 4, 64));
    std::atomic<uint64_t> served = 0;
    std::atomic<uint64_t> wrong = 0;
    Crew<3> servers;
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_OK(servers.add([&] {
            serve(bench.table.value(), [&](const system::Delivery& delivery) {
                served.fetch_add(1);
                uint64_t number = 0;
                memcpy(&number, bench.block(delivery.request), delivery.bytes_in());
                if (delivery.bytes_in() != 0 && number != delivery.words[0]) wrong.fetch_add(1);
                return system::Reply{.status = {},
                                     .words = {{delivery.words[0] + 1}},
                                     .bytes_out = delivery.bytes_in(),
                                     .moved_mask = 0};
            });
        }));
    }
    Crew<clients> crew;
    for (unsigned i = 0; i < clients; ++i) {
        EXPECT_OK(crew.add([&, i] {
            for (uint64_t k = 0; k < calls; ++k) {
                uint64_t number = k << 8 | i;
                const uint32_t size = k % 2 == 0 ? 8 : 0;
                const auto got = system::call_buffer(bench.object.value(), op_get,
                                                     {&number, size, size}, number);
                if (!got.status.ok() || got.words[0] != number + 1 || got.bytes_out != size) {
                    wrong.fetch_add(1);
                }
            }
        }));
    }
    EXPECT_OK(crew.join());
    EXPECT_OK(bench.table.shutdown_fault(0));
    EXPECT_OK(servers.join());
    EXPECT_EQ(wrong.load(), 0);
    EXPECT_EQ(served.load(), clients * calls);
    report_count("calls", served.load());
}

TEST(many_pages, "a table over 1024 pages pins them all, or, if it cannot pay, none") {
    constexpr uint64_t slots = 128;
    constexpr uint64_t block = 32768;
    constexpr uint64_t pages = slots * block / abi::page_size;
    const auto memory = MUST(test.budget().create_memory(pages, abi::memory_on_demand));
    EXPECT_OK(memory.set_commit(0, pages * abi::page_size));
    auto limits = usual_limits();
    for (const uint64_t pins : {pages, pages - 1}) {
        amount(limits, abi::Resource::pins) = pins;
        const auto budget = MUST(test.budget().create_budget(limits));
        const auto before = settled_ledger(budget);
        auto table = budget.create_table(slots, block, memory, 0);
        if (pins == pages) {
            EXPECT_OK(table);
            EXPECT_EQ(used(MUST(budget.get_ledger()), abi::Resource::pins), pages);
            EXPECT_EQ(MUST(table->get_state()).free, slots);
            table->close();
        } else {
            EXPECT(table.status() ==
                   Status(Error::no_budget, static_cast<uint16_t>(abi::Resource::pins)));
        }
        expect_returned(test, budget, before, "the table's budget");
    }
}
