// SPDX-License-Identifier: MIT
// Bytes that are copied on the way: at most a page each way, straight between a program's buffer
// and the server's block, and what the general way does when that cannot be.
//
// The clients and servers are pinned to CPU 0, so they take the fast paths where there is one CPU.
#include "tests/abi/table/bench.h"
#include "tests/guest/child.h"

namespace annulus::test::cases {
namespace {

constexpr uint32_t sizes[] = {0, 1, 7, 8, 63, 64, 65, 4095, 4096, 4097};

std::byte answered_byte(uint64_t seed, uint32_t i) { return static_cast<std::byte>(seed + i * 5); }

// Answers with as many bytes as word 0 says, which word 1 chooses, and with the other words.
system::Reply fill(const TableBench& bench, const system::Delivery& delivery) {
    const auto count = static_cast<uint32_t>(delivery.words[0]);
    for (uint32_t i = 0; i < count; ++i) {
        bench.block(delivery.request)[i] = answered_byte(delivery.words[1], i);
    }
    system::Reply reply = {.status = {}, .words = delivery.words, .bytes_out = count};
    reply.words[0] = delivery.capacity_out();
    return reply;
}

// Asks for `count` bytes with room for `room`; how many of them did not come as they should.
uint64_t wrong_bytes(abi::Handle object, std::byte* buffer, uint32_t count, uint32_t room,
                     uint64_t seed) {
    for (uint32_t i = 0; i < room; ++i) buffer[i] = std::byte{0xee};
    const auto got =
        system::call_buffer(object, op_get, {buffer, 0, room}, count, seed, 2, 3, 4, 5);
    if (!got.status.ok() || got.bytes_out != count || got.handle_mask != 0) return ~uint64_t{0};
    uint64_t wrong = got.words[1] != seed || got.words[2] != 2 || got.words[5] != 5 ? 1 : 0;
    for (uint32_t i = 0; i < room; ++i) {
        wrong += buffer[i] != (i < count ? answered_byte(seed, i) : std::byte{0xee}) ? 1 : 0;
    }
    return wrong;
}

constexpr unsigned object_handle = 0;
constexpr unsigned wrong_count = 1;
constexpr unsigned done_count = 2;

// A client in a process of its own: asks for bytes of every size, and counts what was wrong.
void read_all_sizes(Child::Word* words) {
    static std::byte buffer[4096];
    for (uint64_t round = 0; round < 50; ++round) {
        for (const uint32_t count : sizes) {
            if (count > sizeof(buffer)) continue;
            words[wrong_count].fetch_add(
                wrong_bytes(words[object_handle].load(), buffer, count, sizeof(buffer), round));
            words[done_count].fetch_add(1);
        }
    }
}

}  // namespace
}  // namespace annulus::test::cases

TEST(short_bytes, "bytes that are copied on the way arrive whole, or the call says why not") {
    const auto memory = MUST(test.budget().create_memory(3, 0));
    const uint64_t begin =
        MUST(test.process().map(memory, 0, 3 * abi::page_size, 0, abi::map_read | abi::map_write));
    EXPECT_OK(test.process().map_unmap(begin + 2 * abi::page_size, abi::page_size));
    for (const uint32_t block : {64u, 4096u, 8192u}) {
        EXPECT_OK(on_one_cpu([&] {
            const auto bench = MUST(TableBench::create(test, 4, block));
            uint64_t requests = 0;
            Crew<1> crew;
            EXPECT_OK(crew.add(
                [&] {
                    serve(bench.table.value(), [&](const system::Delivery& delivery) {
                        ++requests;
                        uint64_t wrong = 0;
                        for (uint32_t i = 0; i < delivery.bytes_in(); ++i) {
                            const auto sent = static_cast<std::byte>(delivery.words[0] + i);
                            wrong += bench.block(delivery.request)[i] != sent;
                        }
                        return system::Reply{
                            .status = {},
                            .words = {{wrong, delivery.bytes_in(), delivery.header.rights()}}};
                    });
                },
                eager));
            uint64_t sent = 0;
            for (const uint32_t count : {0u, 1u, 7u, 8u, 63u, 64u, 65u, 4095u, 4096u, 4097u}) {
                // Safety: in the two pages that are mapped, and ends with them.
                auto* bytes = reinterpret_cast<std::byte*>(begin + 2 * abi::page_size - count);
                for (uint32_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(count + i);
                const auto got =
                    system::call_buffer(bench.object.value(), op_write, {bytes, count, 0}, count);
                if (count > block) {
                    EXPECT_ERROR(got.status, Error::limit);
                    continue;
                }
                ++sent;
                EXPECT_OK(got.status);
                EXPECT_EQ(got.words[0], 0);
                EXPECT_EQ(got.words[1], count);
                EXPECT_EQ(got.words[2], abi::all_rights);
                if (count == 0) continue;
                // Safety: only the kernel looks at them.
                for (void* bad : {static_cast<void*>(bytes + 1), static_cast<void*>(nullptr),
                                  reinterpret_cast<void*>(abi::user_end - count + 1),
                                  reinterpret_cast<void*>(uint64_t{1} << 47),
                                  reinterpret_cast<void*>(~uint64_t{0} - 7)}) {
                    EXPECT_ERROR(
                        system::call_buffer(bench.object.value(), op_write, {bad, count, 0}).status,
                        Error::bad_address);
                }
            }
            EXPECT_EQ(requests, sent);
            EXPECT_EQ(bench.free(), 4);
            EXPECT_OK(bench.table.shutdown_fault(0));
        }));
    }
    EXPECT_OK(test.process().map_unmap(begin, 2 * abi::page_size));
}

TEST(short_answers, "bytes of an answer arrive whole in whatever memory the client gave for them") {
    for (const uint32_t block : {64u, 4096u, 8192u}) {
        EXPECT_OK(on_one_cpu([&] {
            const auto bench = MUST(TableBench::create(test, 4, block));
            Crew<1> crew;
            EXPECT_OK(crew.add(
                [&] {
                    serve(bench.table.value(),
                          [&](const system::Delivery& delivery) { return fill(bench, delivery); });
                },
                eager));
            for (const uint32_t count : sizes) {
                if (count > block) continue;
                // Pages that are not there yet: the copy on the way finds none.
                const auto memory = MUST(test.budget().create_memory(3, abi::memory_on_demand));
                const uint64_t begin = MUST(test.process().map(memory, 0, 3 * abi::page_size, 0,
                                                               abi::map_read | abi::map_write));
                for (const uint64_t place : {uint64_t{0}, uint64_t{1}, abi::page_size - 3}) {
                    // Safety: inside the mapped pages, as are the bytes behind it.
                    auto* buffer = reinterpret_cast<std::byte*>(begin + place);
                    const auto first = system::call_buffer(bench.object.value(), op_get,
                                                           {buffer, 0, block}, count, 9);
                    EXPECT_OK(first.status);
                    EXPECT_EQ(first.bytes_out, count);
                    EXPECT_EQ(first.words[0], block);
                    uint64_t wrong = 0;
                    for (uint32_t i = 0; i < count; ++i) wrong += buffer[i] != answered_byte(9, i);
                    EXPECT_EQ(wrong, 0);
                    for (const uint32_t room : {count, block}) {
                        EXPECT_EQ(wrong_bytes(bench.object.value(), buffer, count, room, place), 0);
                    }
                }
                EXPECT_OK(test.process().map_unmap(begin, 3 * abi::page_size));
            }
            EXPECT_EQ(bench.free(), 4);
            EXPECT_OK(bench.table.shutdown_fault(0));
        }));
    }
}

TEST(answers_nowhere,
     "an answer to memory that cannot take it is bad_address, and nothing changes") {
    const auto memory = MUST(test.budget().create_memory(2, 0));
    const uint64_t begin =
        MUST(test.process().map(memory, 0, 2 * abi::page_size, 0, abi::map_read | abi::map_write));
    // Safety: the two pages that were just mapped.
    auto* bytes = reinterpret_cast<std::byte*>(begin);
    for (uint32_t i = 0; i < 2 * abi::page_size; ++i) bytes[i] = std::byte{0x11};
    EXPECT_OK(test.process().map_protect(begin + abi::page_size, abi::page_size, abi::map_read));
    EXPECT_OK(on_one_cpu([&] {
        const auto bench = MUST(TableBench::create(test, 4, 4096));
        uint64_t requests = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                serve(bench.table.value(), [&](const system::Delivery& delivery) {
                    ++requests;
                    return fill(bench, delivery);
                });
            },
            eager));
        uint64_t sent = 0;
        for (const uint32_t count : {1u, 64u, 4096u}) {
            for (const uint64_t address :
                 {begin + abi::page_size, begin + 2 * abi::page_size - count + 1, uint64_t{0},
                  abi::user_end - count + 1, uint64_t{1} << 47, ~uint64_t{0} - 7}) {
                // Safety: only the kernel looks at it.
                auto* nowhere = reinterpret_cast<void*>(address);
                EXPECT_ERROR(
                    system::call_buffer(bench.object.value(), op_get, {nowhere, 0, count}, count, 1)
                        .status,
                    Error::bad_address);
                EXPECT_EQ(requests, ++sent);
            }
        }
        EXPECT_EQ(bench.free(), 4);
        EXPECT_OK(bench.table.shutdown_fault(0));
    }));
    uint64_t changed = 0;
    for (uint32_t i = 0; i < 2 * abi::page_size; ++i) changed += bytes[i] != std::byte{0x11};
    EXPECT_EQ(changed, 0);
    EXPECT_OK(test.process().map_unmap(begin, 2 * abi::page_size));
}

TEST(answers_elsewhere,
     "bytes of an answer arrive in the client's address space, not the server's") {
    const auto bench = MUST(TableBench::create(test, 4, 4096));
    Crew<1> crew;
    EXPECT_OK(crew.add([&] {
        serve(bench.table.value(),
              [&](const system::Delivery& delivery) { return fill(bench, delivery); });
    }));
    // Their memory is a copy at the same addresses, so bytes for the wrong one would be missing
    // here.
    auto one = MUST(Child::create(test.budget(), test.process(), test.budget()));
    auto two = MUST(Child::create(test.budget(), test.process(), test.budget()));
    for (Child* child : {&one, &two}) {
        child->words()[object_handle] = MUST(child->lend(bench.object));
        EXPECT_OK(child->start(read_all_sizes));
    }
    for (Child* child : {&one, &two}) {
        EXPECT_OK(child->wait(Deadline::after(seconds(10))));
        EXPECT_EQ(child->words()[wrong_count].load(), 0);
        EXPECT_EQ(child->words()[done_count].load(), 450);
    }
    EXPECT_EQ(bench.free(), 4);
    EXPECT_OK(bench.table.shutdown_fault(0));
}

TEST(too_many_bytes,
     "an answer longer than the client's room faults the table, and none of it comes") {
    for (const uint32_t room : {1u, 8u, 64u}) {
        EXPECT_OK(on_one_cpu([&] {
            const auto bench = MUST(TableBench::create(test, 4, 4096));
            Crew<1> crew;
            EXPECT_OK(crew.add(
                [&] {
                    serve(bench.table.value(),
                          [&](const system::Delivery& delivery) { return fill(bench, delivery); });
                },
                eager));
            std::byte buffer[65] = {};
            EXPECT_EQ(wrong_bytes(bench.object.value(), buffer, room, room, 1), 0);
            for (std::byte& byte : buffer) byte = {};
            const auto got =
                system::call_buffer(bench.object.value(), op_get, {buffer, 0, room}, room + 1, 1);
            EXPECT_ERROR(got.status, Error::faulted);
            for (const std::byte byte : buffer) EXPECT(byte == std::byte{});
        }));
    }
}
