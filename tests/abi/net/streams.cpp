// SPDX-License-Identifier: MIT
// Connections whose bytes go through channels, over the loopback address.

#include "channel/geometry.h"
#include "runtime/clock.h"
#include "runtime/network.h"
#include "runtime/semaphore.h"
#include "runtime/thread.h"
#include "tests/guest/harness.h"

#include <algorithm>
#include <array>

namespace {

using namespace annulus;

constexpr std::string_view path = "tcp/connect/127.0.0.1/8000";

// Ends a test in which something hangs, long before the boot's own limit.
Deadline soon() { return Deadline::after(seconds(20)); }

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

constexpr std::byte byte_at(size_t at) { return static_cast<std::byte>(at * 7 + at / 255); }

Network network_of(test::Context& test) {
    return test.environment().handle<Network>("net").value_or(Network());
}
// What `end` leads to at `where`; a refused end is the caller's again.
Result<Object> open_with(test::Context& test, std::string_view where, Channel& end) {
    Object moved = std::move(end);
    auto opened = open(network_of(test), where, 0, soon(), moved);
    end = Channel(moved.release());
    return opened;
}

Listener listener_of(test::Context& test) {
    return test.environment().handle<Listener>("listener").value_or(Listener());
}

// One end through a channel, the other by calls.
struct Pair {
    ConnectionChannel::Made client;
    Owned<Connection> server;
};
Result<Pair> connect(test::Context& test) {
    auto client = TRY(ConnectionChannel::connect(network_of(test), path, soon()));
    auto server = TRY(listener_of(test).accept(soon()));
    return Pair{std::move(client), std::move(server)};
}

// Reads `total` bytes of the pattern; how many were missing or wrong.
template <typename From>
Result<size_t> wrong_bytes(From& from, size_t total) {
    std::array<std::byte, 8192> part;
    size_t wrong = 0;
    size_t done = 0;
    while (done < total) {
        const size_t count = TRY(from.read(part, soon()));
        if (count == 0) return total - done;
        for (size_t i = 0; i < count; i++) wrong += part[i] != byte_at(done + i) ? 1 : 0;
        done += count;
    }
    return wrong;
}

template <typename To>
Result<void> write_pattern(To& to, size_t total) {
    std::array<std::byte, 8192> part;
    for (size_t done = 0; done < total; done += part.size()) {
        for (size_t i = 0; i < part.size(); i++) part[i] = byte_at(done + i);
        TRY(to.write(std::span(part).first(std::min(part.size(), total - done)), soon()));
    }
    return {};
}

// Waits until the network has forgotten all connections.
bool none_left(test::Context& test) {
    const Deadline end = soon();
    while (now() < end.at) {
        const auto state = network_of(test).state(soon());
        if (state.ok() && state->connections == 0) return true;
        const auto pause = test.budget().create_semaphore(abi::semaphore_binary, 0, {}, 0);
        if (!pause.ok()) return false;
        static_cast<void>(wait_for(*pause, Deadline::after(milliseconds(20))));
    }
    return false;
}

}  // namespace

TEST(stream_exchange, "a channel carries a connection's bytes both ways, and the ends of both") {
    auto pair = MUST(connect(test));
    std::array<std::byte, 64> buffer;
    EXPECT_OK(pair.client.bytes.write(bytes_of("question"), soon()));
    EXPECT_EQ(MUST(pair.server.read(buffer, soon())), 8);
    EXPECT(std::equal(buffer.begin(), buffer.begin() + 8, bytes_of("question").begin()));
    EXPECT_OK(pair.client.bytes.sync(soon()));
    EXPECT_OK(pair.server.write("answer", soon()));
    EXPECT_OK(pair.server.shut_down(abi::shutdown_send, soon()));
    EXPECT_EQ(MUST(pair.client.bytes.read(buffer, soon())), 6);
    EXPECT_EQ(MUST(pair.client.bytes.read(buffer, soon())), 0);
    // The other direction still works, and ends by itself.
    EXPECT_OK(pair.client.bytes.write(bytes_of("more"), soon()));
    pair.client.bytes.finish();
    EXPECT_EQ(MUST(pair.server.read(buffer, soon())), 4);
    EXPECT_EQ(MUST(pair.server.read(buffer, soon())), 0);
}

TEST(stream_bulk,
     "megabytes go from channel to channel, complete and in order, both ways at once") {
    auto client = MUST(ConnectionChannel::connect(network_of(test), path, soon()));
    auto server = MUST(ConnectionChannel::accept(listener_of(test), soon(), 16));
    constexpr size_t total = 2 * 1024 * 1024;
    size_t wrong = total;
    {
        const auto other = MUST(start_thread([&] {
            if (!write_pattern(server.bytes, total).ok()) return;
            server.bytes.finish();
            wrong = wrong_bytes(server.bytes, total).value_or(total);
        }));
        EXPECT_EQ(MUST(wrong_bytes(client.bytes, total)), 0);
        EXPECT_OK(write_pattern(client.bytes, total));
        client.bytes.finish();
    }
    EXPECT_EQ(wrong, 0);
    std::array<std::byte, 8> buffer;
    EXPECT_EQ(MUST(client.bytes.read(buffer, soon())), 0);
    EXPECT_EQ(MUST(server.bytes.read(buffer, soon())), 0);
}

TEST(stream_later, "a connection gets a channel after it was used by calls, and keeps its bytes") {
    const auto client = MUST(network_of(test).open<Connection>(path, 0, soon()));
    const auto server = MUST(listener_of(test).accept(soon()));
    std::array<std::byte, 64> buffer;
    EXPECT_OK(client.write("by calls", soon()));
    EXPECT_EQ(MUST(server.read(buffer, soon())), 8);
    EXPECT_OK(client.write("before", soon()));
    EXPECT_OK(client.sync(soon()));
    auto bytes = MUST(ConnectionChannel::attach(server, soon()));
    EXPECT_EQ(MUST(bytes.read(buffer, soon())), 6);
    EXPECT_OK(bytes.write(bytes_of("after"), soon()));
    EXPECT_EQ(MUST(client.read(buffer, soon())), 5);
    EXPECT_ERROR(server.read(buffer, soon()), Error::wrong_state);
    EXPECT_ERROR(server.write("x", soon()), Error::wrong_state);
    EXPECT_ERROR(ConnectionChannel::attach(server, soon()), Error::busy);
}

TEST(stream_pressure, "a writer waits for a peer that does not read, and loses nothing") {
    auto pair = MUST(connect(test));
    size_t written = 0;
    std::array<std::byte, 8192> part;
    for (;;) {
        for (size_t i = 0; i < part.size(); i++) part[i] = byte_at(written + i);
        const auto count = pair.client.bytes.write_some(part, Deadline::after(milliseconds(300)));
        if (!count.ok()) {
            EXPECT_EQ(count.error(), Error::timed_out);
            break;
        }
        written += *count;
        EXPECT(written < 1'000'000);
    }
    EXPECT_EQ(MUST(wrong_bytes(pair.server, written)), 0);
    EXPECT_OK(pair.client.bytes.write(part, soon()));
    // The other way: the channel, the network's buffer, and then the peer waits.
    size_t sent = 0;
    for (;;) {
        for (size_t i = 0; i < part.size(); i++) part[i] = byte_at(sent + i);
        const auto count = pair.server.write_some(part, Deadline::after(milliseconds(300)));
        if (!count.ok()) break;
        sent += *count;
        EXPECT(sent < 1'000'000);
    }
    EXPECT_EQ(MUST(wrong_bytes(pair.client.bytes, sent)), 0);
}

TEST(stream_reset, "a reset connection shuts its channel down, behind the bytes that came before") {
    auto pair = MUST(connect(test));
    std::array<std::byte, 64> buffer;
    EXPECT_OK(pair.server.write("last words", soon()));
    EXPECT_OK(pair.server.sync(soon()));
    EXPECT_OK(pair.client.bytes.write(bytes_of("unread"), soon()));
    EXPECT_OK(pair.client.bytes.sync(soon()));
    {
        const auto closing = std::move(pair.server);
    }
    EXPECT_EQ(MUST(pair.client.bytes.read(buffer, soon())), 10);
    EXPECT_ERROR(pair.client.bytes.read(buffer, soon()), Error::closed);
    EXPECT_EQ(MUST(pair.client.connection.state(soon())).phase, abi::ConnectionPhase::closed);
}

TEST(stream_left, "what a client wrote before it let go of everything still arrives") {
    constexpr size_t total = 30'000;
    Owned<Connection> server;
    {
        auto pair = MUST(connect(test));
        EXPECT_OK(write_pattern(pair.client.bytes, total));
        server = std::move(pair.server);
    }
    EXPECT_EQ(MUST(wrong_bytes(server, total)), 0);
    std::array<std::byte, 8> buffer;
    EXPECT_EQ(MUST(server.read(buffer, soon())), 0);
    server.close();
    EXPECT(none_left(test));
}

TEST(stream_end_left, "a client that lets go of its end alone ends what it sends") {
    auto made = MUST(ByteChannel::create(12));
    const Object opened = MUST(open_with(test, path, made.theirs));
    const auto server = MUST(listener_of(test).accept(soon()));
    {
        ByteChannel mine = std::move(made.mine);
        EXPECT_OK(mine.write("all", soon()));
    }
    std::array<std::byte, 8> buffer;
    EXPECT_EQ(MUST(server.read(buffer, soon())), 3);
    EXPECT_EQ(MUST(server.read(buffer, soon())), 0);
    EXPECT_OK(server.write("dropped", soon()));
    EXPECT_OK(server.sync(soon()));
}

TEST(stream_hostile, "a client that lies in shared memory loses its connection and nothing else") {
    auto good = MUST(connect(test));
    for (const uint64_t offset : {channel::producer_index_offset,
                                  channel::ring_words_size + channel::consumer_index_offset}) {
        auto made = MUST(ByteChannel::create(12));
        const Object opened = MUST(open_with(test, path, made.theirs));
        const auto server = MUST(listener_of(test).accept(soon()));
        // The network waits for bytes, and looks at the reader's index when it has some to give.
        const auto word = made.mine.end().memory().atomic_at<uint32_t>(offset);
        EXPECT(word.has_value());
        word->store_release(0x80000000);
        made.mine.end().bell().ring();
        std::array<std::byte, 8192> buffer{};
        static_cast<void>(server.write(buffer, soon()));
        EXPECT_ERROR(made.mine.read_all(buffer, soon()), Error::faulted);
        EXPECT_ERROR(server.read(buffer, soon()), Error::closed);
    }
    EXPECT_OK(good.client.bytes.write(bytes_of("still"), soon()));
    std::array<std::byte, 8> buffer;
    EXPECT_EQ(MUST(good.server.read(buffer, soon())), 5);
}

TEST(stream_refused, "ends that are no byte streams, or too large, are refused and come back") {
    auto messages = MUST(MessageChannel::create(4));
    EXPECT_ERROR(open_with(test, path, messages.theirs), Error::wrong_version);
    EXPECT_EQ(MUST(messages.theirs.get_geometry()).end, 1);
    // The largest is taken: only then it is seen that nobody listens.
    auto largest = MUST(ByteChannel::create(abi::net_stream_log2_max));
    EXPECT_ERROR(open_with(test, "tcp/connect/127.0.0.1/8998", largest.theirs), Error::refused);
    auto large = MUST(ByteChannel::create(abi::net_stream_log2_max + 1));
    EXPECT_ERROR(open_with(test, path, large.theirs), Error::limit);
    EXPECT_EQ(MUST(large.theirs.get_geometry()).end, 1);
    auto listening = MUST(ByteChannel::create(12));
    EXPECT_ERROR(open_with(test, "tcp/listen/8009", listening.theirs), Error::not_supported);
    EXPECT_EQ(MUST(listening.theirs.get_geometry()).end, 1);
    EXPECT(none_left(test));
}

TEST(stream_cost, "a megabyte through a channel and by calls takes a bounded time each") {
    constexpr size_t total = 1024 * 1024;
    auto pair = MUST(connect(test));
    std::array<uint64_t, 2> spent{};
    for (const bool by_channel : {false, true}) {
        const auto begin = now();
        const auto writer = MUST(start_thread([&] {
            std::array<std::byte, 16384> part{};
            for (size_t done = 0; done < total; done += part.size()) {
                static_cast<void>(by_channel ? pair.client.bytes.write(part, soon())
                                             : pair.server.write(part, soon()));
            }
        }));
        std::array<std::byte, 16384> part;
        for (size_t done = 0; done < total;) {
            done += by_channel ? MUST(pair.server.read(part, soon()))
                               : MUST(pair.client.bytes.read(part, soon()));
        }
        spent[by_channel ? 1 : 0] = now() - begin;
    }
    test::report_count("nanoseconds for 1 MiB written by calls, read through a channel", spent[0]);
    test::report_count("nanoseconds for 1 MiB written through a channel, read by calls", spent[1]);
    EXPECT(spent[0] + spent[1] < 10'000'000'000);
}
