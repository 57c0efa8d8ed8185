// SPDX-License-Identifier: MIT
// Clients that take all that they may: others keep their share.

#include "runtime/clock.h"
#include "tests/abi/net_clients/scene.h"

namespace annulus::test::cases {
namespace {

constexpr std::string_view path = "tcp/connect/127.0.0.1/8000";
constexpr unsigned filled = 80;
constexpr uint64_t both = abi::open_read | abi::open_write;

// This program's ends of what clients opened.
std::array<Owned<Connection>, abi::net_connections_max> peers;

// What a client counts: one word of each kind, behind those that all have.
enum Taken : unsigned { listeners = failures + 1, datagrams, prefixes, connections, writes };

// Opens until it is refused; the handles stay open. Answers how many, and notes another refusal
// than the limit.
uint64_t open_all(Child::Word* words, std::string_view before, uint64_t first) {
    const Network network = in_client::network(words);
    char text[48];
    for (uint64_t opened = 0;; opened++) {
        auto one = annulus::open(network, format(text, "{}{}", before, first + opened), both);
        if (!one.ok()) {
            if (one.error() != Error::limit) words[failures].fetch_add(1);
            return opened;
        }
        static_cast<void>(one->release());
    }
}

// Both ends of connections to a listener of its own.
uint64_t connect_all(Child::Word* words, Listener listener) {
    for (uint64_t opened = 0;; opened++) {
        char own_path[48];
        auto one = annulus::open(
            in_client::network(words),
            format(own_path, "tcp/connect/127.0.0.1/{}", words[port_word].load()), both);
        if (!one.ok()) return 2 * opened;
        static_cast<void>(one->release());
        auto other = listener.accept();
        if (!other.ok()) return 2 * opened + 1;
        static_cast<void>(other->release());
    }
}

void take_all(Child::Word* words) {
    const uint64_t port = words[port_word].load();
    char listen[32];
    auto listener =
        annulus::open(in_client::network(words), format(listen, "tcp/listen/{}", port), 0);
    if (listener.ok()) {
        words[connections] = connect_all(words, Listener(listener->release()));
    }
    words[listeners] = 1 + open_all(words, "tcp/listen/", port + 1);
    words[datagrams] = open_all(words, "udp/bind/", port);
    words[prefixes] = open_all(words, "tcp/connect/h", 1);
    in_client::rest(words);
}

// A pair that this program has, and a short exchange over it.
Result<void> exchange(Network network, Listener listener) {
    const auto mine = TRY(network.open<Connection>(path, both, soon()));
    const auto theirs = TRY(listener.accept(soon()));
    TRY(mine.write("question", soon()));
    std::array<std::byte, 16> buffer;
    if (TRY(theirs.read(buffer, soon())) != 8) return Error::faulted;
    TRY(theirs.write("answer", soon()));
    if (TRY(mine.read(buffer, soon())) != 6) return Error::faulted;
    return {};
}

// Accepts what the client opens until it rests; answers how many. They are in `peers`. Those that
// this program may not have wait in the backlog.
size_t accept_all(const Client& client, Listener listener) {
    const Deadline end = soon();
    for (size_t accepted = 0; now() < end.at;) {
        const bool last = client.rests();
        const auto state = listener.state(end);
        if (!state.ok()) break;
        auto one = state->waiting != 0 ? listener.accept(end)
                                       : Result<Owned<Connection>>(Error::try_again);
        if (one.ok()) {
            peers[accepted++] = std::move(*one);
        } else if (last) {
            return accepted;
        } else {
            sleep_for(milliseconds(1));
        }
    }
    return 0;
}

// Connections to peers that do not read, each as full as it gets.
void fill_all(Child::Word* words) {
    static Part part;
    static std::array<Connection, filled> opened;
    for (Connection& each : opened) {
        auto one = annulus::open(in_client::network(words), path, both);
        if (!one.ok()) {
            words[failures].fetch_add(1);
            break;
        }
        each = Connection(one->release());
        words[connections].fetch_add(1);
        for (;;) {
            const auto wrote = each.write_some(part, in_client::shortly(words));
            if (!wrote.ok()) break;
            words[writes].fetch_add(*wrote);
        }
    }
    in_client::rest(words);
}

// Connections with channels, until there is no more.
void attach_all(Child::Word* words) {
    for (;;) {
        auto made = in_client::make_channel(words);
        if (!made.ok()) break;
        auto opened = annulus::open(in_client::network(words), path, both, Deadline::never(),
                                    Object(made->theirs.release()));
        if (!opened.ok()) {
            if (opened.error() != Error::limit) words[failures].fetch_add(1);
            break;
        }
        static_cast<void>(opened->release());
        words[connections].fetch_add(1);
        // Nothing is destroyed: it is killed.
        alignas(ByteChannel) std::byte room[sizeof(ByteChannel)];
        new (room) ByteChannel(std::move(made->mine));
    }
    in_client::rest(words);
}

// Opens, writes more than the peer's window, and closes: the rest lingers.
void close_unsent(Child::Word* words) {
    static Part part;
    for (;;) {
        auto one = annulus::open(in_client::network(words), path, both);
        if (!one.ok()) {
            if (one.error() != Error::limit) words[failures].fetch_add(1);
            break;
        }
        const Connection connection(one->value());
        for (size_t written = 0; written < 36 * 1024; written += part.size()) {
            if (!connection.write(part).ok()) words[failures].fetch_add(1);
        }
        words[connections].fetch_add(1);
    }
    in_client::rest(words);
}

void connect_once(Child::Word* words) {
    words[count] = annulus::open(in_client::network(words), path, both).ok() ? 1 : 0;
    in_client::rest(words);
}

}  // namespace
}  // namespace annulus::test::cases

TEST(greedy, "clients that take all they may leave others connections, ports and parts") {
    const Network network = network_of(test);
    const auto listener = MUST(network.open<Listener>("tcp/listen/8000", 0, soon()));
    in_rounds(test, 3, [&](unsigned) {
        Client first = MUST(Client::create(test));
        Client second = MUST(Client::create(test));
        first.words()[port_word] = 8100;
        second.words()[port_word] = 8200;
        EXPECT_OK(first.run(take_all));
        EXPECT_EQ(first.words()[connections].load(), abi::net_connections_max / 2);
        EXPECT_EQ(first.words()[listeners].load(), abi::net_listeners_max / 2);
        EXPECT_EQ(first.words()[datagrams].load(), abi::net_datagram_sockets_max / 2);
        EXPECT_EQ(first.words()[prefixes].load(), abi::net_prefixes_max / 2);
        EXPECT_EQ(first.word(failures), 0u);
        EXPECT_OK(exchange(network, listener));
        EXPECT_OK(second.run(take_all));
        EXPECT_EQ(second.words()[connections].load(), abi::net_connections_max / 4);
        EXPECT_EQ(second.words()[listeners].load(), abi::net_listeners_max / 4);
        EXPECT_EQ(second.words()[datagrams].load(), abi::net_datagram_sockets_max / 4);
        EXPECT_EQ(second.words()[prefixes].load(), abi::net_prefixes_max / 4);
        EXPECT_OK(exchange(network, listener));
        EXPECT_OK(network.open<Listener>("tcp/listen/8001", 0, soon()));
        EXPECT_OK(network.open<Stream>("udp/bind/0", both, soon()));
        EXPECT_OK(network.open<Network>("tcp/connect/10.0.0.1", both, soon()));
        first.kill(test);
        second.kill(test);
        first.expect_all_back(test);
        second.expect_all_back(test);
    });
}

TEST(greedy_memory, "a client whose peers do not read leaves memory for what others send") {
    const Network network = network_of(test);
    const auto listener = MUST(network.open<Listener>("tcp/listen/8000", 0, soon()));
    in_rounds(test, 2, [&](unsigned round) {
        Client client = MUST(Client::create(test));
        EXPECT_OK(client.start(fill_all));
        EXPECT_EQ(accept_all(client, listener), filled);
        EXPECT_EQ(client.word(failures), 0u);
        if (round == 0) report_count("bytes that it wrote", client.words()[writes].load());
        // As much as one connection may have on its way, to a peer that does not read either.
        const auto mine = MUST(network.open<Connection>(path, both, soon()));
        const auto theirs = MUST(listener.accept(soon()));
        static Part part;
        size_t written = 0;
        while (written < 120'000) {
            fill(part, written);
            written += MUST(mine.write_some(part, Deadline::after(seconds(2))));
        }
        for (size_t got = 0; got < written;) {
            const size_t count = MUST(theirs.read(part, soon()));
            EXPECT_EQ(wrong_bytes(std::span(part).first(count), got), 0u);
            got += count;
        }
        client.kill(test);
        for (auto& each : peers) each.close();
        client.expect_all_back(test);
        EXPECT_OK(exchange(network, listener));
    });
}

TEST(greedy_channels, "a client that takes all channels it may leaves others some") {
    const Network network = network_of(test);
    const auto listener = MUST(network.open<Listener>("tcp/listen/8000", 0, soon()));
    in_rounds(test, 3, [&](unsigned) {
        Client client = MUST(Client::create(test));
        EXPECT_OK(client.start(attach_all));
        EXPECT_EQ(accept_all(client, listener), abi::net_streams_max / 2);
        EXPECT_EQ(client.word(failures), 0u);
        auto made = MUST(ConnectionChannel::connect(network, path, soon()));
        const auto theirs = MUST(listener.accept(soon()));
        Part part;
        fill(part, 0);
        EXPECT_OK(made.bytes.write(part, soon()));
        EXPECT(MUST(theirs.read(part, soon())) != 0);
        client.kill(test);
        for (auto& each : peers) each.close();
        client.expect_all_back(test);
    });
}

TEST(greedy_lingering, "connections that were closed unsent count for the client who closed them") {
    const Network network = network_of(test);
    const auto listener = MUST(network.open<Listener>("tcp/listen/8000", 0, soon()));
    in_rounds(test, 2, [&](unsigned) {
        Client client = MUST(Client::create(test));
        EXPECT_OK(client.start(close_unsent));
        const size_t opened = accept_all(client, listener);
        report_count("connections that linger", opened);
        // Their peers are this program's: with both ends each has a third.
        EXPECT(opened >= abi::net_connections_max / 4 &&
               opened <= abi::net_connections_max / 3 + 1);
        EXPECT_EQ(client.word(failures), 0u);
        // A third one finds a place.
        Client third = MUST(Client::create(test));
        EXPECT_OK(third.run(connect_once));
        EXPECT_EQ(third.word(count), 1u);
        third.kill(test);
        third.expect_all_back(test);
        // Who is read to the end has lingered enough.
        for (size_t i = 0; i < opened; i++) {
            Part part;
            while (MUST(peers[i].read(part, soon())) != 0) {
            }
            peers[i].close();
        }
        client.kill(test);
        client.expect_all_back(test);
        // Whom this program could not take while it had too many itself.
        while (listener.accept(Deadline::after(milliseconds(100))).ok()) {
        }
    });
}
