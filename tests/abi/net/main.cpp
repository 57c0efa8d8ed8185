// SPDX-License-Identifier: MIT
// The network service, over the loopback address: sockets as handles, from programs' side.

#include "abi/stream.h"
#include "base/format.h"
#include "runtime/clock.h"
#include "runtime/network.h"
#include "runtime/protocol.h"
#include "runtime/thread.h"
#include "tests/guest/harness.h"

#include <algorithm>
#include <array>

const char* const annulus::test::suite = "net";

namespace {

using namespace annulus;

// Ends a test in which something hangs, long before the boot's own limit.
Deadline soon() { return Deadline::after(seconds(20)); }

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

struct Pair {
    Owned<Connection> client;
    Owned<Connection> server;
};

Result<Pair> connect(test::Context& test, std::string_view path = "tcp/connect/127.0.0.1/8000") {
    const auto network = TRY(test.environment().handle<Network>("net"));
    const auto listener = TRY(test.environment().handle<Listener>("listener"));
    auto client = TRY(network.open<Connection>(path, abi::open_read | abi::open_write, soon()));
    auto server = TRY(listener.accept(soon()));
    return Pair{std::move(client), std::move(server)};
}

}  // namespace

TEST(protocols, "every object of the network, the log and exports say which protocol they speak") {
    const auto network = MUST(test.environment().handle<Network>("net"));
    const auto listener = MUST(test.environment().handle<Listener>("listener"));
    const auto part = MUST(network.open<Network>("tcp/connect", 0, soon()));
    const auto pair = MUST(connect(test));
    const auto datagrams = MUST(network.open<Stream>("udp/bind/0", abi::open_read, soon()));
    const auto expect = [&](ServedReference object, abi::Protocol protocol, uint32_t version) {
        const auto info = MUST(protocol_of(object, soon()));
        EXPECT_EQ(info.protocol, protocol);
        EXPECT_EQ(info.version, version);
        EXPECT(info.block_bytes != 0);
    };
    expect(network, abi::Protocol::network, abi::net_version);
    expect(part, abi::Protocol::network, abi::net_version);
    expect(listener, abi::Protocol::listener, abi::net_version);
    expect(pair.client, abi::Protocol::connection, abi::net_version);
    expect(pair.server, abi::Protocol::connection, abi::net_version);
    expect(datagrams, abi::Protocol::datagrams, abi::net_version);
    expect(MUST(test.environment().handle<Served>("lines")), abi::Protocol::stream,
           abi::stream_version);
    expect(MUST(test.environment().handle<Served>(names::exports)), abi::Protocol::directory,
           abi::directory_version);
    // It takes the right to get.
    const auto outside = MUST(test.environment().handle<Network>("outside"));
    EXPECT_ERROR(protocol_of(outside, soon()), Error::no_right);
}

TEST(granted_part, "a program that was handed one port has just that port") {
    const auto listener = MUST(test.environment().handle<Listener>("listener"));
    const auto opened = open(listener, "tcp/listen/8001", abi::open_read, soon());
    EXPECT_ERROR(opened, Error::no_right);
    const auto outside = MUST(test.environment().handle<Network>("outside"));
    EXPECT_ERROR(outside.open<Listener>("127.0.0.1/80/x", abi::open_read, soon()),
                 Error::bad_argument);
    EXPECT_ERROR(outside.open<Connection>("127.0.0.1/8001", abi::open_read, soon()),
                 Error::refused);
}

TEST(listener_taken, "a port that another listens on is taken") {
    const auto network = MUST(test.environment().handle<Network>("net"));
    EXPECT_ERROR(network.open<Listener>("tcp/listen/8000", abi::open_read, soon()), Error::exists);
    const auto other = MUST(network.open<Listener>("tcp/listen/8002", abi::open_read, soon()));
    EXPECT(!other.accept(Deadline::after(milliseconds(20))).ok());
}

TEST(exchange, "what one end writes the other reads, and the end of the stream after it") {
    const auto pair = MUST(connect(test));
    std::array<std::byte, 64> buffer;
    EXPECT_OK(pair.client.write("question", soon()));
    EXPECT_EQ(MUST(pair.server.read(buffer, soon())), 8);
    EXPECT(std::equal(buffer.begin(), buffer.begin() + 8, bytes_of("question").begin()));
    EXPECT_OK(pair.server.write("answer", soon()));
    EXPECT_OK(pair.server.sync(soon()));
    EXPECT_OK(pair.server.shut_down(abi::shutdown_send, soon()));
    EXPECT_EQ(MUST(pair.client.read(buffer, soon())), 6);
    EXPECT_EQ(MUST(pair.client.read(buffer, soon())), 0);
    EXPECT_EQ(MUST(pair.client.state(soon())).peer_has_ended, 1);
    EXPECT_EQ(abi::peer_port(MUST(pair.client.state(soon())).peer), 8000);
}

TEST(bulk, "a megabyte arrives complete and in order while both ends are busy") {
    const auto pair = MUST(connect(test));
    constexpr size_t total = 1024 * 1024;
    const auto byte_at = [](size_t at) { return static_cast<std::byte>(at * 7 + at / 255); };
    const auto writer = MUST(start_thread([&] {
        std::array<std::byte, 8192> part;
        for (size_t done = 0; done < total; done += part.size()) {
            for (size_t i = 0; i < part.size(); i++) part[i] = byte_at(done + i);
            if (!pair.client.write(part, soon()).ok()) return;
        }
    }));
    std::array<std::byte, 8192> part;
    size_t done = 0;
    size_t wrong = 0;
    while (done < total) {
        const size_t count = MUST(pair.server.read(part, soon()));
        if (count == 0) break;
        for (size_t i = 0; i < count; i++) wrong += part[i] != byte_at(done + i) ? 1 : 0;
        done += count;
    }
    EXPECT_EQ(done, total);
    EXPECT_EQ(wrong, 0);
}

TEST(waiting_read, "a read waits until bytes come, and others are served meanwhile") {
    const auto pair = MUST(connect(test));
    size_t got = 0;
    {
        const auto reader = MUST(start_thread([&] {
            std::array<std::byte, 16> buffer;
            got = pair.server.read(buffer, soon()).value_or(0);
        }));
        const auto other = MUST(connect(test));
        EXPECT_OK(other.client.write("x", soon()));
        EXPECT_OK(pair.client.write("abc", soon()));
    }
    EXPECT_EQ(got, 3);
}

TEST(read_deadline, "a read whose deadline passes ends, and the connection works on") {
    const auto pair = MUST(connect(test));
    std::array<std::byte, 16> buffer;
    EXPECT(!pair.server.read(buffer, Deadline::after(milliseconds(30))).ok());
    EXPECT_OK(pair.client.write("late", soon()));
    EXPECT_EQ(MUST(pair.server.read(buffer, soon())), 4);
}

TEST(closing, "closing the last handle closes the connection") {
    auto pair = MUST(connect(test));
    std::array<std::byte, 16> buffer;
    {
        const auto closing = std::move(pair.client);
    }
    EXPECT_EQ(MUST(pair.server.read(buffer, soon())), 0);
}

TEST(many_connections, "sixty-four connections are open at once, and leave nothing behind") {
    const auto network = MUST(test.environment().handle<Network>("net"));
    constexpr size_t count = 32;
    {
        std::array<Pair, count> pairs;
        for (size_t i = 0; i < count; i++) {
            pairs[i] = MUST(connect(test));
            const auto number = static_cast<std::byte>(i);
            EXPECT_OK(pairs[i].client.write({&number, 1}, soon()));
        }
        for (size_t i = 0; i < count; i++) {
            std::array<std::byte, 4> buffer;
            EXPECT_EQ(MUST(pairs[i].server.read(buffer, soon())), 1);
            EXPECT_EQ(static_cast<size_t>(buffer[0]), i);
        }
        EXPECT_EQ(MUST(network.state(soon())).connections, 2 * count);
    }
    // A connection stays until its last bytes are acknowledged.
    for (const Deadline end = soon(); MUST(network.state(soon())).connections != 0;) {
        EXPECT(now() < end.at);
    }
}

TEST(own_account, "what init opened does not count for the program, and half is left for others") {
    const auto network = MUST(test.environment().handle<Network>("net"));
    // The manifest's listener is init's. Of the 15 others one client gets 8: no more than it
    // leaves.
    constexpr size_t allowed = abi::net_listeners_max / 2;
    std::array<Owned<Listener>, abi::net_listeners_max> listeners;
    size_t count = 0;
    for (; count < listeners.size(); count++) {
        char path[32];
        auto opened =
            network.open<Listener>(format(path, "tcp/listen/{}", 9000 + count), 0, soon());
        if (!opened.ok()) {
            EXPECT_EQ(opened.error(), Error::limit);
            break;
        }
        listeners[count] = std::move(opened).value();
    }
    EXPECT_EQ(count, allowed);
}

TEST(datagrams, "a datagram arrives whole, with its sender") {
    const auto network = MUST(test.environment().handle<Network>("net"));
    constexpr uint64_t both = abi::open_read | abi::open_write;
    const auto server = MUST(network.open<Stream>("udp/bind/7000", both, soon()));
    const auto client = MUST(network.open<Stream>("udp/connect/127.0.0.1/7000", both, soon()));
    EXPECT_OK(client.write("datagram", soon()));
    std::array<std::byte, 2048> buffer;
    EXPECT_EQ(MUST(server.read(buffer, soon())), 8);
}
