// SPDX-License-Identifier: MIT
// Connections that end in one direction, by the peer's reset, and with the network itself.

#include "runtime/clock.h"
#include "runtime/semaphore.h"
#include "runtime/thread.h"
#include "tests/abi/net_clients/scene.h"

#include <atomic>

namespace annulus::test::cases {
namespace {

constexpr std::string_view path = "tcp/connect/127.0.0.1/8000";
constexpr uint64_t both = abi::open_read | abi::open_write;

// Sends `total` bytes and reads them at the other end.
template <typename From, typename To>
void carry(Context& test, From& from, To& to, size_t total) {
    size_t written = 0;
    for (size_t got = 0; got < total;) {
        Part part;
        if (written < total && written - got < 2 * part_bytes) {
            fill(part, written);
            EXPECT_OK(from.write(part, soon()));
            written += part_bytes;
        }
        const size_t count = MUST(to.read(part, soon()));
        EXPECT_EQ(wrong_bytes(std::span(part).first(count), got), 0u);
        if (count == 0) return test.fail("the stream ended behind {} bytes", got);
        got += count;
    }
}

// Kills the network while it carries bytes, and while others wait for it.
void kill_at_work(Context& test, const Programs& programs) {
    const Network network = network_of(test);
    const auto listener = MUST(network.open<Listener>("tcp/listen/8000", 0, soon()));
    auto made = MUST(ConnectionChannel::connect(network, path, soon()));
    auto peer = MUST(ConnectionChannel::accept(listener, soon()));
    const auto calls = MUST(network.open<Connection>(path, both, soon()));
    const auto silent = MUST(listener.accept(soon()));
    Client client = MUST(Client::create(test));
    std::atomic<size_t> carried = 0;
    std::array<Error, 4> ends{};
    {
        const auto writes = MUST(start_thread([&] {
            const Part part{};
            while (ends[0] == Error::ok) ends[0] = made.bytes.write(part, soon()).error();
        }));
        const auto reads = MUST(start_thread([&] {
            Part part;
            while (ends[1] == Error::ok) {
                const auto read = peer.bytes.read(part, soon());
                ends[1] = read.error();
                // Relaxed: a count to wait for.
                carried.fetch_add(read.value_or(0), std::memory_order_relaxed);
            }
        }));
        const auto called = MUST(start_thread([&] {
            std::byte byte[1];
            ends[2] = calls.read(byte, soon()).error();
        }));
        const auto accepts = MUST(start_thread([&] { ends[3] = listener.accept(soon()).error(); }));
        const Deadline end = soon();
        while (carried.load(std::memory_order_relaxed) < 64 * 1024 && now() < end.at) {
            sleep_for(milliseconds(1));
        }
        EXPECT_OK(programs.kill("net"));
    }
    for (const Error each : ends) EXPECT(each == Error::server_died);
    EXPECT_ERROR(silent.write("x", soon()), Error::server_died);
    EXPECT_ERROR(made.bytes.sync(soon()), Error::server_died);
    EXPECT(is_gone(network.state(soon()).error()));
    EXPECT(is_gone(network.open<Listener>("tcp/listen/8001", 0, soon()).error()));
    client.kill(test);
    client.expect_all_back(test);
}

}  // namespace
}  // namespace annulus::test::cases

TEST(half_closed, "after one end has finished the other goes on sending, by calls and by channel") {
    const Network network = network_of(test);
    const auto listener = MUST(network.open<Listener>("tcp/listen/8000", 0, soon()));
    constexpr size_t total = 64 * part_bytes;
    std::byte byte[1];
    in_rounds(test, 3, [&](unsigned) {
        auto made = MUST(ConnectionChannel::connect(network, path, soon()));
        const auto calls = MUST(listener.accept(soon()));
        made.bytes.finish();
        EXPECT_EQ(MUST(calls.read(byte, soon())), 0u);
        carry(test, calls, made.bytes, total);
        EXPECT_OK(calls.shut_down(abi::shutdown_send, soon()));
        EXPECT_EQ(MUST(made.bytes.read(byte, soon())), 0u);
        // The other way round: calls end first.
        auto second = MUST(ConnectionChannel::connect(network, path, soon()));
        const auto others = MUST(listener.accept(soon()));
        EXPECT_OK(others.shut_down(abi::shutdown_send, soon()));
        EXPECT_EQ(MUST(second.bytes.read(byte, soon())), 0u);
        carry(test, second.bytes, others, total);
        EXPECT_ERROR(others.write("x", soon()), Error::closed);
        second.bytes.finish();
        EXPECT_EQ(MUST(others.read(byte, soon())), 0u);
        EXPECT_EQ(MUST(others.state(soon())).phase, abi::ConnectionPhase::closed);
    });
}

TEST(reset, "a peer's reset ends what waits: reads, writes and syncs answer closed") {
    const Network network = network_of(test);
    const auto listener = MUST(network.open<Listener>("tcp/listen/8000", 0, soon()));
    in_rounds(test, 3, [&](unsigned) {
        const auto mine = MUST(network.open<Connection>(path, both, soon()));
        auto theirs = MUST(listener.accept(soon()));
        std::array<Error, 3> ends{};
        {
            const auto reads = MUST(start_thread([&] {
                std::byte byte[1];
                ends[0] = mine.read(byte, soon()).error();
            }));
            const auto writes = MUST(start_thread([&] {
                const Part part{};
                while (ends[1] == Error::ok) ends[1] = mine.write(part, soon()).error();
            }));
            // Full, so that a write and a sync wait.
            while (MUST(mine.state(soon())).send_room >= part_bytes) sleep_for(milliseconds(1));
            const auto syncs = MUST(start_thread([&] { ends[2] = mine.sync(soon()).error(); }));
            sleep_for(milliseconds(10));
            // With bytes that it has not read: a reset.
            theirs.close();
        }
        for (const Error each : ends) EXPECT(each == Error::closed);
        EXPECT_EQ(MUST(mine.state(soon())).phase, abi::ConnectionPhase::closed);
    });
}

TEST(network_dies, "when the network dies its clients are told, and the next one serves them") {
    const auto programs = MUST(test.environment().handle<Programs>(names::system));
    const BudgetReference own = own_budget(test);
    abi::BudgetLedger before{};
    abi::BudgetLedger paid{};
    for (unsigned round = 0; round < 3; round++) {
        // After the first round: stacks of threads that ended are kept for the next ones.
        if (round == 1) {
            before = settled_ledger(own);
            paid = settled_ledger(test.budget());
        }
        kill_at_work(test, programs);
        for (unsigned i = 0; i < 1000 && !renew_network(test).ok(); i++) sleep_for(milliseconds(5));
        EXPECT_EQ(MUST(network_of(test).state(soon())).connections, 0u);
    }
    // Counted a moment after it serves.
    for (unsigned i = 0; i < 500 && MUST(programs.report("net")).runs != 4; i++) {
        sleep_for(milliseconds(2));
    }
    EXPECT_EQ(MUST(programs.report("net")).runs, 4u);
    expect_returned(test, own, before, "what the network's death left", 16);
    // Stacks that are kept grow by the pages that their threads touch.
    expect_returned(test, test.budget(), paid, "what the network's death left", 16);
}
