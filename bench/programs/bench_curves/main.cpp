// SPDX-License-Identifier: MIT
// Curves: what an operation costs as its size, or the number of those concerned, grows. The same
// work as bench/linux/curves.cpp does on Linux.
#include "bench/programs/bench_curves/report.h"
#include "bench/programs/workloads.h"
#include "runtime/channel.h"

const char* const annulus::test::suite = "curves";

TEST(by_calls, "messages of all sizes by synchronous calls") {
    const auto message = make_message();
    auto sink = MUST(start_sink(test, 4));
    for (uint64_t size = 1; size <= message_max; size *= 4) {
        point(
            test, "message", "call", size,
            [&] { send_by_calls(sink.object, {message.get(), size}); }, rounds_for(size));
    }
    Peer::stop(test, sink.peer);
}

TEST(by_ring, "messages of all sizes by a ring, from registered memory") {
    constexpr uint32_t entries = message_max / block;
    auto sink = MUST(start_sink(test, entries));
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), entries));
    EXPECT_OK(Registered::with(test, ring));
    uint64_t failed = 0;
    for (uint64_t size = 1; size <= message_max; size *= 4) {
        point(
            test, "message", "ring", size, [&] { failed += send_by_ring(ring, sink.object, size); },
            rounds_for(size));
    }
    EXPECT_EQ(failed, 0u);
    Peer::stop(test, sink.peer);
}

TEST(by_channel, "messages of all sizes through a channel, copied in and out") {
    const auto message = make_message();
    const auto image = MUST(Peer::image(test));
    for (uint64_t size = 1; size <= message_max; size *= 4) {
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
    auto set = MUST(GrowingSet::create(test, there));
    const Grant grants[] = {{"set", set.set()}, {"yours", back}};
    const auto child = MUST(Peer::start(test, image, grants));
    for (unsigned wanted = 1; wanted <= members_max; wanted *= 10) {
        EXPECT_OK(set.grow(test, wanted));
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
        const auto round = [&] { failed += nop_batch(ring, semaphore.value(), batch); };
        point(test, "batch", "ring", batch, round, 200, batch);
    }
    EXPECT_EQ(failed, 0u);
}

TEST(clients, "one server answers the calls of many processes, and all have their turns") {
    const auto image = MUST(Peer::image(test));
    const auto table = MUST(test.budget().create_table(2 * clients_max, 0, {}, 0));
    Clients clients;
    Answering server(table);
    for (unsigned wanted = 1; wanted <= clients_max; wanted *= 2) {
        EXPECT_OK(clients.grow(test, image, table, wanted));
        if (wanted <= 16) EXPECT(server.answer_each(wanted));
        settle(test);
        server.cycles_of(wanted);
        const uint64_t count = std::max<uint64_t>(200, uint64_t{20} * wanted);
        log("POINT clients | call | {} | {}", wanted, share_of(server.cycles_of(count), count));
    }
    clients.stop(test);
}
