// SPDX-License-Identifier: MIT
// The curves in time, on two CPUs: both sides are awake all the time, each on a CPU of its own.
// The same work as bench/linux/pairs.cpp does on Linux.
#include "bench/programs/bench_pairs/report.h"
#include "bench/programs/bench_peer/awake.h"
#include "runtime/channel.h"

const char* const annulus::test::suite = "pairs";

namespace annulus::test::cases {
namespace {

constexpr std::string_view awake[] = {"awake"};

// The kernel hands the caller's CPU to the server and back: no second CPU takes part.
void by_calls(Context& test) {
    const auto message = make_message();
    const auto sink = MUST(start_sink(test, 4));
    for (uint64_t size = 1; size <= message_max; size *= 4) {
        time_point("message", "call, one CPU", size,
                   [&] { send_by_calls(sink.object, {message.get(), size}); });
    }
    Peer::stop(test, sink.peer);
}

void by_ring(Context& test) {
    constexpr uint32_t entries = message_max / block;
    const auto sink = MUST(start_sink(test, entries, awake, second_cpu));
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), entries));
    EXPECT_OK(Registered::with(test, ring));
    uint64_t failed = 0;
    for (uint64_t size = 1; size <= message_max; size *= 4) {
        time_point("message", "ring", size,
                   [&] { failed += send_by_ring(ring, sink.object, size, true); });
    }
    EXPECT_EQ(failed, 0u);
    Peer::stop(test, sink.peer);
}

void by_channel(Context& test) {
    const auto message = make_message();
    const auto image = MUST(Peer::image(test));
    for (uint64_t size = 1; size <= message_max; size *= 4) {
        for (const bool is_awake : {true, false}) {
            auto made = MUST(ByteChannel::create(16));
            char digits[24];
            const std::string_view arguments[] = {format(digits, "{}", size), "awake"};
            const Grant grants[] = {{"mirror", made.theirs}, {"budget", test.budget()}};
            const auto peer = MUST(Peer::start(test, image, grants,
                                               std::span(arguments, is_awake ? 2 : 1), second_cpu));
            const std::span<const std::byte> bytes(message.get(), size);
            std::byte answer;
            if (is_awake) {
                time_point("message", "channel", size, [&] {
                    bench::write_awake(made.mine, bytes);
                    bench::read_awake(made.mine, {&answer, 1});
                });
            } else {
                time_point("message", "channel, sleeping", size, [&] {
                    static_cast<void>(made.mine.write(bytes));
                    static_cast<void>(made.mine.read_all({&answer, 1}));
                });
            }
            Peer::stop(test, peer);
        }
    }
}

void polled_hop(Context& test) {
    const auto image = MUST(Peer::image(test));
    auto made = MUST(MessageChannel::create(6));
    const Grant grants[] = {{"messages", made.theirs}, {"budget", test.budget()}};
    const auto peer = MUST(Peer::start(test, image, grants, awake, second_cpu));
    channel::Message message = {};
    constexpr uint64_t there_and_back = 2;
    time_point(
        "27", "64 B to a peer that looks for it", 0,
        [&] {
            bench::send_awake(made.mine, message);
            bench::receive_awake(made.mine, message);
        },
        there_and_back);
    Peer::stop(test, peer);
}

void parked_wake(Context& test) {
    const auto image = MUST(Peer::image(test));
    const auto there = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto back = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const Grant grants[] = {{"mine", there}, {"yours", back}};
    const std::string_view arguments[] = {"two"};
    const auto peer = MUST(Peer::start(test, image, grants, arguments, second_cpu));
    constexpr uint64_t there_and_back = 2;
    time_point(
        "27", "wake of a peer that sleeps", 0,
        [&] {
            system::signal(there.value());
            system::wait(back.value(), abi::deadline_never);
        },
        there_and_back);
    Peer::stop(test, peer);
}

// One member is signalled, and the peer gives a unit for its event.
void sets(Context& test) {
    const auto image = MUST(Peer::image(test));
    const auto there = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto back = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    auto set = MUST(GrowingSet::create(test, there));
    const Grant grants[] = {{"set", set.set()}, {"yours", back}};
    const auto peer = MUST(Peer::start(test, image, grants, awake, second_cpu));
    for (unsigned wanted = 1; wanted <= members_max; wanted *= 10) {
        EXPECT_OK(set.grow(test, wanted));
        time_point("set", "semaphore set", wanted, [&] {
            system::signal(there.value());
            while (!system::wait(back.value(), 0, 0).status.ok()) {
            }
        });
    }
    Peer::stop(test, peer);
}

// The peer wakes the last of several; this side sleeps.
void several(Context& test) {
    const auto image = MUST(Peer::image(test));
    const auto there = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    WaitedFor waited;
    EXPECT_OK(waited.make(test));
    for (size_t count = 1; count <= waited.entries.size(); count *= 2) {
        const Grant grants[] = {{"mine", there}, {"yours", waited.semaphores[count - 1]}};
        const std::string_view arguments[] = {"two"};
        const auto peer = MUST(Peer::start(test, image, grants, arguments, second_cpu));
        time_point("set", "wait_any, sleeping", count, [&] {
            system::signal(there.value());
            system::wait_any(waited.entries.data(), count, abi::deadline_never);
        });
        Peer::stop(test, peer);
    }
}

void batches_of_entries(Context& test) {
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), batch_max));
    const auto semaphore = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    uint64_t failed = 0;
    for (uint32_t batch = 1; batch <= batch_max; batch *= 2) {
        time_point(
            "batch", "ring", batch, [&] { failed += nop_batch(ring, semaphore.value(), batch); },
            batch);
    }
    EXPECT_EQ(failed, 0u);
}

}  // namespace
}  // namespace annulus::test::cases

TEST(by_calls_on_two, "messages of all sizes by synchronous calls") {
    on_first_cpu(test, by_calls);
}
TEST(by_ring_on_two, "messages of all sizes by a ring whose server is awake") {
    on_first_cpu(test, by_ring);
}
TEST(by_channel_on_two, "messages of all sizes through a channel, both sides awake, and sleeping") {
    on_first_cpu(test, by_channel);
}
TEST(hops, "64 bytes to a peer that looks for them, and the wake of one that sleeps") {
    on_first_cpu(test, polled_hop);
    on_first_cpu(test, parked_wake);
}
TEST(sets_on_two, "events of sets, and the last of several semaphores") {
    on_first_cpu(test, sets);
    on_first_cpu(test, several);
}
TEST(batches_in_time, "entries of a ring that check a handle, so many at once") {
    on_first_cpu(test, batches_of_entries);
}

// Nobody is told where to run.
TEST(clients_on_two, "one server answers the calls of many processes") {
    const auto image = MUST(Peer::image(test));
    const auto table = MUST(test.budget().create_table(2 * clients_max, 0, {}, 0));
    Clients clients;
    Answering server(table);
    for (unsigned wanted = 1; wanted <= clients_max; wanted *= 4) {
        EXPECT_OK(clients.grow(test, image, table, wanted));
        time_point("clients", "call", wanted, [&] { server.answer_one(); });
    }
    clients.stop(test);
}
