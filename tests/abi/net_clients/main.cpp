// SPDX-License-Identifier: MIT
// Clients of the network that are killed with everything open.

#include "runtime/clock.h"
#include "tests/abi/net_clients/scene.h"

const char* const annulus::test::suite = "net_clients";

namespace annulus::test::cases {
namespace {

constexpr std::string_view path = "tcp/connect/127.0.0.1/8000";
constexpr uint64_t both = abi::open_read | abi::open_write;
constexpr unsigned calling = 8;
constexpr unsigned with_channels = 16;

// Connections with bytes on their way, and a read that waits.
void call_and_wait(Child::Word* words) {
    static Part part;
    fill(part, 0);
    Connection first;
    for (unsigned i = 0; i < calling; i++) {
        auto opened = annulus::open(in_client::network(words), path, both);
        if (!opened.ok()) break;
        const Connection connection(opened->release());
        if (i == 0) first = connection;
        if (connection.write(part).ok()) words[count].fetch_add(1);
    }
    words[done].store(1);
    std::byte byte[1];
    static_cast<void>(first.read(byte));
}

// Connections with channels, into all of which it writes until it is killed.
void write_for_ever(Child::Word* words) {
    static Part part;
    static std::array<ByteChannel*, with_channels> channels;
    alignas(ByteChannel) static std::byte room[with_channels][sizeof(ByteChannel)];
    std::array<size_t, with_channels> written{};
    for (unsigned i = 0; i < with_channels; i++) {
        auto made = in_client::make_channel(words);
        if (!made.ok()) return;
        auto opened = annulus::open(in_client::network(words), path, both, Deadline::never(),
                                    Object(made->theirs.release()));
        if (!opened.ok()) return;
        static_cast<void>(opened->release());
        // Nothing is ever destroyed: it is killed.
        channels[i] = new (room[i]) ByteChannel(std::move(made->mine));
        words[count].fetch_add(1);
    }
    words[done].store(1);
    for (unsigned i = 0;; i = (i + 1) % with_channels) {
        fill(part, written[i]);
        const auto wrote = channels[i]->write_some(part, Deadline::poll());
        if (wrote.ok()) written[i] += *wrote;
    }
}

}  // namespace
}  // namespace annulus::test::cases

TEST(killed_by_calls, "what a killed client had written arrives, then its connections end") {
    const auto listener = MUST(network_of(test).open<Listener>("tcp/listen/8000", 0, soon()));
    in_rounds(test, 4, [&](unsigned) {
        Client client = MUST(Client::create(test));
        EXPECT_OK(client.run(call_and_wait));
        EXPECT_EQ(client.word(count), calling);
        std::array<Owned<Connection>, calling> ours;
        for (auto& each : ours) each = MUST(listener.accept(soon()));
        client.kill(test);
        for (const auto& each : ours) {
            size_t got = 0;
            for (;;) {
                Part part;
                const size_t read = MUST(each.read(part, soon()));
                if (read == 0) break;
                EXPECT_EQ(wrong_bytes(std::span(part).first(read), got), 0u);
                got += read;
            }
            EXPECT_EQ(got, part_bytes);
        }
        for (auto& each : ours) each.close();
        client.expect_all_back(test);
    });
}

TEST(killed_by_channels, "the bytes of a killed client's channels come in order, then the end") {
    const auto listener = MUST(network_of(test).open<Listener>("tcp/listen/8000", 0, soon()));
    // More channels in all than the network has places for.
    constexpr unsigned rounds = abi::net_streams_max / with_channels + 2;
    in_rounds(test, rounds, [&](unsigned) {
        Client client = MUST(Client::create(test));
        EXPECT_OK(client.run(write_for_ever));
        EXPECT_EQ(client.word(count), with_channels);
        std::array<Owned<Connection>, with_channels> ours;
        std::array<size_t, with_channels> got{};
        for (auto& each : ours) each = MUST(listener.accept(soon()));
        const auto read_some = [&](unsigned i) -> Result<size_t> {
            Part part;
            const size_t read = TRY(ours[i].read(part, soon()));
            if (wrong_bytes(std::span(part).first(read), got[i]) != 0) return Error::faulted;
            got[i] += read;
            return read;
        };
        for (unsigned i = 0; i < with_channels; i++) {
            while (got[i] < 2 * part_bytes) static_cast<void>(MUST(read_some(i)));
        }
        client.kill(test);
        for (unsigned i = 0; i < with_channels; i++) {
            while (MUST(read_some(i)) != 0) {
            }
        }
        for (auto& each : ours) each.close();
        client.expect_all_back(test);
    });
}
