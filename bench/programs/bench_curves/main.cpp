// SPDX-License-Identifier: MIT
// Curves: what an operation costs as its size, or the number of those concerned, grows. Each point
// is a line of its own:
//
//     POINT <curve> | <way> | <x> | <instructions>
//
// The same work as bench/linux/curves.cpp does on Linux.
#include "abi/stream.h"
#include "runtime/channel.h"
#include "runtime/ring.h"
#include "tests/abi/budgets/measure.h"

#include <algorithm>
#include <memory>

const char* const annulus::test::suite = "curves";

namespace annulus::test::cases {
namespace {

constexpr uint64_t size_max = 16 << 20;
constexpr uint64_t block = abi::table_block_max;
constexpr unsigned members_max = 10'000;
constexpr unsigned batch_max = 256;

// Fewer rounds for what takes long.
uint64_t rounds_for(uint64_t size) { return std::max<uint64_t>(2, 200 / (1 + size / 4096)); }

template <typename Operation>
void point(Context& test, std::string_view curve, std::string_view way, uint64_t x,
           Operation operation, uint64_t count, uint64_t per = 1) {
    for (uint64_t i = 0; i < std::min<uint64_t>(count, 20); ++i) operation();
    settle(test);
    operation();
    const uint64_t begin = cycles();
    for (uint64_t i = 0; i < count; ++i) operation();
    const uint64_t spent = cycles() - begin;
    log("POINT {} | {} | {} | {}", curve, way, x, spent / count / per);
}

// The longest message; every page of it is there.
std::unique_ptr<std::byte[]> make_message() {
    std::unique_ptr<std::byte[]> bytes(new std::byte[size_max]);
    for (uint64_t at = 0; at < size_max; at += abi::page_size) bytes[at] = std::byte{1};
    return bytes;
}

// A server that takes each request at once, behind a table with the largest blocks.
struct Sink {
    Spawned peer;
    Served object;
};
Result<Sink> start_sink(Context& test) {
    const auto image = TRY(Peer::image(test));
    const auto blocks = TRY(test.budget().create_memory(4 * block / abi::page_size, 0));
    const auto table = TRY(test.budget().create_table(4, block, blocks, 0));
    Served object = TRY(table.create_object(7, abi::all_rights, 0));
    const Grant grants[] = {{"table", table}};
    return Sink{TRY(Peer::start(test, image, grants)), std::move(object)};
}

// In as many calls as it takes.
void send_by_calls(const Served& object, std::span<const std::byte> bytes) {
    constexpr uint64_t write = abi::operation_word(abi::Verb::write, abi::stream_write);
    while (!bytes.empty()) {
        const auto part = bytes.first(std::min<size_t>(bytes.size(), block));
        static_cast<void>(system::call_buffer(object.value(), write, system::buffer_in(part)));
        bytes = bytes.subspan(part.size());
    }
}

}  // namespace
}  // namespace annulus::test::cases

TEST(by_calls, "messages of all sizes by synchronous calls") {
    const auto message = make_message();
    auto sink = MUST(start_sink(test));
    for (uint64_t size = 1; size <= size_max; size *= 4) {
        point(
            test, "message", "call", size,
            [&] { send_by_calls(sink.object, {message.get(), size}); }, rounds_for(size));
    }
    Peer::stop(test, sink.peer);
}

TEST(by_channel, "messages of all sizes through a channel, copied in and out") {
    const auto message = make_message();
    const auto image = MUST(Peer::image(test));
    for (uint64_t size = 1; size <= size_max; size *= 4) {
        auto made = MUST(ByteChannel::create(16));
        char digits[24];
        const std::string_view arguments[] = {format(digits, "{}", size)};
        const Grant grants[] = {{"mirror", made.theirs}, {"budget", test.budget()}};
        const auto peer = MUST(Peer::start(test, image, grants, arguments));
        const std::span<const std::byte> bytes(message.get(), size);
        const auto round = [&] {
            std::byte answer;
            static_cast<void>(made.mine.write(bytes));
            static_cast<void>(made.mine.read_all({&answer, 1}));
        };
        point(test, "message", "channel", size, round, rounds_for(size));
        Peer::stop(test, peer);
    }
}

TEST(sets, "waiting on one of many") {
    const auto image = MUST(Peer::image(test));
    const auto there = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto back = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto set = MUST(test.budget().create_set(members_max));
    EXPECT_OK(set.create_member(there, 1, 0));
    const Grant grants[] = {{"set", set}, {"yours", back}};
    const auto child = MUST(Peer::start(test, image, grants));
    const auto members = std::make_unique<Semaphore[]>(members_max);
    unsigned count = 1;
    for (unsigned wanted = 1; wanted <= members_max; wanted *= 10) {
        for (; count < wanted; ++count) {
            members[count] =
                MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
            EXPECT_OK(set.create_member(members[count], 1 + count, 0));
        }
        const auto round = [&] {
            system::signal_and_wait(there.value(), back.value(), 0, abi::deadline_never);
        };
        point(test, "set", "semaphore set", wanted, round, 200);
    }
    Peer::stop(test, child);
}

TEST(batches, "entries of a ring that check a handle, so many at once") {
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), batch_max));
    const auto semaphore = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    uint64_t failed = 0;
    for (uint32_t batch = 1; batch <= batch_max; batch *= 2) {
        const auto round = [&] {
            for (uint32_t i = 0; i < batch; ++i) ring.queues().prepare_nop(i, semaphore.value());
            failed += ring.submit().ok() ? 0 : 1;
            abi::CompletionEntry done;
            while (ring.next(done)) failed += done.ok() ? 0 : 1;
        };
        point(test, "batch", "ring", batch, round, 200, batch);
    }
    EXPECT_EQ(failed, 0u);
}
