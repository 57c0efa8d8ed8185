// SPDX-License-Identifier: MIT
// The firewall between a client and the network driver, with an emulated device.
//
// Two firewalls stand before the same driver: `firewall` has rules, `closed` has none. The driver
// has one client at a time, so the tests take turns.
#include "abi/operations.h"
#include "runtime/directory.h"
#include "runtime/semaphore.h"
#include "tests/guest/harness.h"
#include "tests/guest/packet_client.h"

#include <cstring>

const char* const annulus::test::suite = "firewall";

namespace annulus::test::cases {
namespace {

Deadline soon() { return Deadline::after(seconds(10)); }

Result<PacketInterface> interface(const Context& test, std::string_view name) {
    return test.environment().handle<PacketInterface>(name);
}

Result<void> resolve(Client& client) {
    return client.ask(resolution_request(client.address()), is_resolution_answer, soon());
}

}  // namespace
}  // namespace annulus::test::cases

TEST(looks_like_behind, "a firewall says of itself what the interface behind it says") {
    const auto open = MUST(MUST(interface(test, "firewall")).info());
    const auto closed = MUST(MUST(interface(test, "closed")).info());
    EXPECT_EQ(open.address[0], 0x52);
    EXPECT(std::memcmp(open.address, closed.address, sizeof(open.address)) == 0);
    EXPECT_EQ(open.mtu, 1500);
    EXPECT_EQ(open.link, 1);
    EXPECT_EQ(open.attached, 0);
}

TEST(nothing_by_default, "without rules nothing passes, whatever is asked") {
    const auto closed = MUST(interface(test, "closed"));
    auto client = MUST(Client::attach(closed));
    EXPECT_EQ(MUST(closed.info()).attached, 1);
    const Deadline short_while = Deadline::after(milliseconds(300));
    EXPECT_ERROR(
        client.ask(resolution_request(client.address()), is_resolution_answer, short_while),
        Error::timed_out);
    EXPECT(client.send(discover(client.address())));
    Frame frame;
    EXPECT_ERROR(client.receive(frame, Deadline::after(milliseconds(100))), Error::timed_out);
    const auto statistics = MUST(closed.statistics());
    EXPECT_EQ(statistics.sent_packets, 0);
    EXPECT_EQ(statistics.received_packets, 0);
    EXPECT(statistics.refused_packets >= 2);
}

TEST(allowed, "what the rules allow passes, and so do its answers") {
    const auto firewall = MUST(interface(test, "firewall"));
    auto client = MUST(Client::attach(firewall, channel::packets_geometry(4, 12)));
    EXPECT_OK(resolve(client));
    EXPECT_OK(client.ask(discover(client.address()), is_offer, soon()));
    const auto statistics = MUST(firewall.statistics());
    EXPECT_EQ(statistics.sent_packets, 2);
    EXPECT(statistics.received_packets >= 2);
}

TEST(many, "two thousand packets each way pass, all of them") {
    constexpr uint32_t packets = 2'000;
    constexpr uint32_t window = 16;
    auto client = MUST(Client::attach(MUST(interface(test, "firewall"))));
    const Frame request = resolution_request(client.address());
    Frame answer;
    uint32_t sent = 0;
    uint32_t answered = 0;
    while (answered < packets) {
        while (sent < packets && sent - answered < window && client.send(request)) ++sent;
        EXPECT_OK(client.receive(answer, soon()));
        if (test.failed()) return;
        if (is_resolution_answer(answer)) ++answered;
    }
    report_count("packets", answered);
}

TEST(frames, "frames that are too short or too long are dropped, and the next one passes") {
    const auto firewall = MUST(interface(test, "firewall"));
    auto client = MUST(Client::attach(firewall, channel::packets_geometry(4, 12)));
    const uint64_t before = MUST(firewall.statistics()).refused_packets;
    Frame frame = resolution_request(client.address());
    for (const size_t size : {size_t{0}, size_t{13}, size_t{41}}) {
        frame.size = size;
        EXPECT(client.send(frame));
    }
    EXPECT_OK(resolve(client));
    EXPECT_EQ(MUST(firewall.statistics()).refused_packets - before, 3);
}

TEST(hostile, "a client that breaks the queue's rules is shut down, and the next one is served") {
    const auto firewall = MUST(interface(test, "firewall"));
    EXPECT_EQ(MUST(reason_after_jump(firewall, soon())),
              static_cast<uint64_t>(channel::Fault::producer_index));
    auto next = MUST(Client::attach(firewall));
    EXPECT_OK(resolve(next));
}

TEST(refused, "channels that do not fit are refused, and there is one client at a time") {
    const auto firewall = MUST(interface(test, "firewall"));
    EXPECT_ERROR(Client::attach(firewall, channel::packets_geometry(5, 10)), Error::wrong_version);
    EXPECT_ERROR(open(firewall, {}, 0), Error::bad_argument);
    EXPECT_ERROR(open(firewall, "x", 0), Error::not_found);
    auto first = MUST(Client::attach(firewall));
    auto made = MUST(device_channel(channel::packets_geometry(3, 11)));
    EXPECT_ERROR(firewall.attach(made.theirs), Error::busy);
    EXPECT_OK(resolve(first));
}
