// SPDX-License-Identifier: MIT
// Clients that do not read, and clients that write rubbish where indices should be.

#include "runtime/clock.h"
#include "tests/abi/net_clients/scene.h"

namespace annulus::test::cases {
namespace {

constexpr std::string_view path = "tcp/connect/127.0.0.1/8000";
constexpr uint64_t both = abi::open_read | abi::open_write;
constexpr unsigned deaf = 8;
constexpr unsigned scribbled = 200;

struct Opened {
    Object connection;
    ByteChannel bytes;
};
Result<Opened> connect(const Child::Word* words) {
    auto made = TRY(in_client::make_channel(words));
    auto opened = TRY(annulus::open(in_client::network(words), path, both, Deadline::never(),
                                    Object(made.theirs.release())));
    return Opened{std::move(opened), std::move(made.mine)};
}

// Half of them by channels. Reads nothing.
void never_read(Child::Word* words) {
    alignas(Opened) static std::byte room[deaf][sizeof(Opened)];
    for (unsigned i = 0; i < deaf; i++) {
        if (i % 2 == 0) {
            auto opened = annulus::open(in_client::network(words), path, both);
            if (opened.ok()) static_cast<void>(opened->release());
        } else if (auto made = connect(words); made.ok()) {
            // Nothing is destroyed: it is killed.
            new (room[i]) Opened(std::move(*made));
        }
    }
    in_client::rest(words);
}

// Connections one after the other. Of each one word of the structure after the other gets
// rubbish, and the network is rung each time, until it has had enough.
void scribble(Child::Word* words) {
    uint64_t random = 88172645463325252;
    for (;;) {
        auto made = connect(words);
        if (!made.ok()) {
            words[failures].fetch_add(1);
            continue;
        }
        const ChannelEnd& end = made->bytes.end();
        const UntrustedBytes memory = end.memory();
        for (unsigned i = 0; i < 40 && end.state().ok(); i++) {
            // Marsaglia's xorshift.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // The structure's head: indices and wake words of both streams are in it.
            const uint64_t place = random % 2 == 0 ? random % 1024 & ~uint64_t{7}
                                                   : random % memory.size() & ~uint64_t{7};
            const auto word = memory.atomic_at<uint32_t>(place);
            if (word.has_value()) word->store_release(static_cast<uint32_t>(random >> 32));
            end.bell().ring();
        }
        words[count].fetch_add(1);
    }
}

// Bytes there and back over a pair that nobody disturbs.
void expect_intact(Context& test, Connection mine, Connection theirs) {
    // The end of each part would wait for an acknowledgement, and that for more.
    EXPECT_OK(mine.set_option(abi::ConnectionOption::no_delay, 1, soon()));
    for (size_t sent = 0; sent < 16 * part_bytes; sent += part_bytes) {
        Part part;
        fill(part, sent);
        EXPECT_OK(mine.write(part, soon()));
        for (size_t got = 0; got < part_bytes;) {
            const size_t count = MUST(theirs.read(part, soon()));
            EXPECT_EQ(wrong_bytes(std::span(part).first(count), sent + got), 0u);
            got += count;
        }
    }
}

// Writes until no room comes for a while; answers how many bytes were taken. On a busy host a
// single wait may end before its turn comes.
size_t write_until_full(Connection connection) {
    const Part part{};
    size_t taken = 0;
    for (unsigned refused = 0; refused < 3;) {
        const auto wrote = connection.write_some(part, Deadline::after(milliseconds(30)));
        refused = wrote.ok() ? 0 : refused + 1;
        taken += wrote.value_or(0);
    }
    return taken;
}

}  // namespace
}  // namespace annulus::test::cases

TEST(never_reads, "clients that do not read hold what their connection may hold, and nobody else") {
    const Network network = network_of(test);
    const auto listener = MUST(network.open<Listener>("tcp/listen/8000", 0, soon()));
    in_rounds(test, 2, [&](unsigned) {
        Client client = MUST(Client::create(test));
        EXPECT_OK(client.run(never_read));
        std::array<Owned<Connection>, deaf> ours;
        for (auto& each : ours) each = MUST(listener.accept(soon()));
        for (const auto& each : ours) {
            const size_t taken = write_until_full(each);
            // The channel, the connection's buffer, and what may be on its way.
            EXPECT(taken >= 32 * 1024 && taken <= (4 + 32 + 92) * 1024);
        }
        const auto mine = MUST(network.open<Connection>(path, both, soon()));
        const auto theirs = MUST(listener.accept(soon()));
        expect_intact(test, mine, theirs);
        client.kill(test);
        for (auto& each : ours) {
            Part part{};
            // Nobody will read what was sent: a reset, or silence until it is closed.
            while (each.write_some(part, Deadline::after(milliseconds(50))).ok()) {
            }
            each.close();
        }
        client.expect_all_back(test);
    });
}

TEST(garbage, "a client that writes rubbish into its channels loses them, and disturbs nobody") {
    const Network network = network_of(test);
    const auto listener = MUST(network.open<Listener>("tcp/listen/8000", 0, soon()));
    const auto mine = MUST(network.open<Connection>(path, both, soon()));
    const auto theirs = MUST(listener.accept(soon()));
    const abi::BudgetLedger before = network_ledger(test);
    Client client = MUST(Client::create(test));
    EXPECT_OK(client.start(scribble));
    const Deadline end = soon();
    // What arrives from it is anything or nothing; what is sent to it makes the network look.
    while (client.word(count) < scribbled && now() < end.at) {
        auto one = listener.accept(Deadline::after(milliseconds(20)));
        if (!one.ok()) {
            sleep_for(milliseconds(1));
            continue;
        }
        Part part{};
        static_cast<void>(one->write_some(part, Deadline::after(milliseconds(1))));
        static_cast<void>(one->read(part, Deadline::after(milliseconds(1))));
    }
    EXPECT(client.word(count) >= scribbled);
    EXPECT_EQ(client.word(failures), 0u);
    expect_intact(test, mine, theirs);
    client.kill(test);
    // One may still knock, since the backlog was full.
    for (const Deadline last = soon(); now() < last.at;) {
        if (MUST(network.state(soon())).connections == 2) break;
        static_cast<void>(listener.accept(Deadline::after(milliseconds(20))));
    }
    client.expect_all_back(test);
    EXPECT_EQ(MUST(network.state(soon())).connections, 2u);
    const abi::BudgetLedger after = network_ledger(test);
    EXPECT_EQ(after.objects, before.objects);
    EXPECT_EQ(used(after, abi::Resource::handles), used(before, abi::Resource::handles));
    EXPECT_EQ(used(after, abi::Resource::reserved_pages),
              used(before, abi::Resource::reserved_pages));
}
