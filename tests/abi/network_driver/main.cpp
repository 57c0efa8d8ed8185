// SPDX-License-Identifier: MIT
// The network driver with a real (emulated) device: packets both ways, deaths on both sides.
#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/directory.h"
#include "runtime/semaphore.h"
#include "tests/abi/network_driver/driver.h"
#include "tests/guest/packet_client.h"

const char* const annulus::test::suite = "network_driver";

namespace annulus::test::cases {
namespace {

constexpr uint32_t flood_packets = 10'000;
// Answers under way; the driver's buffers hold twice as many.
constexpr uint32_t flood_window = 48;

Deadline soon() { return Deadline::after(seconds(10)); }

// Sends requests and counts the answers, at most `flood_window` of them open.
Result<void> flood(Client& client, uint32_t packets) {
    const Frame request = resolution_request(client.address());
    Frame answer;
    uint32_t sent = 0;
    uint32_t answered = 0;
    while (answered < packets) {
        while (sent < packets && sent - answered < flood_window && client.send(request)) ++sent;
        TRY(client.receive(answer, soon()));
        if (is_resolution_answer(answer)) ++answered;
    }
    return {};
}

Result<void> resolve(Client& client) {
    return client.ask(resolution_request(client.address()), is_resolution_answer, soon());
}

// Waits until the driver has sent so many packets.
Result<void> await_sent(const Context& test, PacketInterface interface, uint64_t packets) {
    const auto never =
        TRY(test.budget().create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0));
    const Deadline deadline = soon();
    while (TRY(interface.statistics()).sent_packets < packets) {
        if (now() >= deadline.at) return Error::timed_out;
        static_cast<void>(wait_for(never, Deadline::after(milliseconds(1))));
    }
    return {};
}

// What the child that dies runs: it is this program, started with the argument client.
bool is_child(const Context& test) { return test.environment().argument("client").ok(); }

}  // namespace
}  // namespace annulus::test::cases

TEST(child, "a client that floods until it is killed") {
    if (!is_child(test)) return;
    const auto interface = MUST(test.environment().handle<PacketInterface>("interface"));
    auto client = MUST(Client::attach(interface));
    EXPECT_OK(flood(client, ~uint32_t{0}));
}

TEST(info, "the interface says its address, its size of frames and its link") {
    if (is_child(test)) return;
    auto driver = MUST(Driver::start(test));
    const auto info = MUST(driver.interface().info());
    EXPECT_EQ(info.address[0], 0x52);
    EXPECT_EQ(info.address[5], 0x56);
    EXPECT_EQ(info.mtu, 1500);
    EXPECT_EQ(info.link, 1);
    EXPECT_EQ(info.attached, 0);
    EXPECT_OK(driver.kill());
}

TEST(packets, "packets go out and their answers come in, without a copy by the driver") {
    if (is_child(test)) return;
    auto driver = MUST(Driver::start(test));
    auto client = MUST(Client::attach(driver.interface()));
    EXPECT_OK(resolve(client));
    EXPECT_OK(client.ask(discover(client.address()), is_offer, soon()));
    EXPECT_OK(await_sent(test, driver.interface(), 2));
    const auto statistics = MUST(driver.interface().statistics());
    EXPECT_EQ(statistics.sent_packets, 2);
    EXPECT(statistics.received_packets >= 2);
    EXPECT(statistics.received_bytes > 300);
    EXPECT_OK(driver.kill());
}

TEST(flood, "ten thousand packets each way arrive, all of them") {
    if (is_child(test)) return;
    auto driver = MUST(Driver::start(test));
    auto client = MUST(Client::attach(driver.interface()));
    EXPECT_OK(flood(client, flood_packets));
    EXPECT_OK(await_sent(test, driver.interface(), flood_packets));
    const auto statistics = MUST(driver.interface().statistics());
    EXPECT_EQ(statistics.sent_packets, flood_packets);
    report_count("interrupts", statistics.interrupts);
    EXPECT_OK(driver.kill());
}

TEST(refused, "channels that do not fit are refused, and there is one client at a time") {
    if (is_child(test)) return;
    auto driver = MUST(Driver::start(test));
    const auto interface = driver.interface();
    // Buffers of packet_buffer_min / 2; those of packet_buffer_min follow.
    EXPECT_ERROR(Client::attach(interface, channel::packets_geometry(5, 10)), Error::wrong_version);
    // Scattered memory: a device cannot reach it as one.
    const auto geometry = channel::packets_geometry(3, 11);
    const uint64_t length = geometry.length();
    const auto scattered = MUST(test.budget().create_memory(length / abi::page_size, 0));
    auto ends = MUST(test.budget().create_channel(scattered, 0, length, geometry.word(),
                                                  channel::layout_version));
    EXPECT_ERROR(interface.attach(ends.second), Error::wrong_state);
    // It came back, and is the same end.
    EXPECT_EQ(MUST(ends.second.get_geometry()).end, 1);
    EXPECT_EQ(MUST(ends.first.get_state()).closed, 0);
    EXPECT_ERROR(open(interface, {}, 0), Error::bad_argument);
    auto first = MUST(Client::attach(interface));
    auto made = MUST(device_channel(geometry));
    EXPECT_ERROR(interface.attach(made.theirs), Error::busy);
    EXPECT_OK(resolve(first));
    EXPECT_OK(driver.kill());
}

TEST(lengths, "frames that are too short or too long are dropped and counted") {
    if (is_child(test)) return;
    auto driver = MUST(Driver::start(test));
    auto client = MUST(Client::attach(driver.interface()));
    Frame frame = resolution_request(client.address());
    constexpr size_t frame_max = 1514;
    for (const size_t size :
         {size_t{0}, size_t{abi::packet_header - 1}, frame_max + 1, size_t{1600}}) {
        frame.size = size;
        EXPECT(client.send(frame));
    }
    for (const size_t size : {size_t{abi::packet_header}, frame_max}) {
        frame.size = size;
        EXPECT(client.send(frame));
    }
    EXPECT_OK(resolve(client));
    EXPECT_OK(await_sent(test, driver.interface(), 3));
    const auto statistics = MUST(driver.interface().statistics());
    EXPECT_EQ(statistics.refused_packets, 4);
    EXPECT_EQ(statistics.sent_packets, 3);
    EXPECT_OK(driver.kill());
}

TEST(link_watches, "eight may be told of the link, and a ninth is refused") {
    if (is_child(test)) return;
    auto driver = MUST(Driver::start(test));
    std::array<Semaphore, abi::packet_watches_max + 1> told;
    for (Semaphore& one : told) {
        one = MUST(test.budget().create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0));
    }
    for (unsigned i = 0; i < abi::packet_watches_max; ++i) {
        EXPECT_OK(driver.interface().watch_link(told[i]));
    }
    EXPECT_ERROR(driver.interface().watch_link(told[abi::packet_watches_max]), Error::limit);
    EXPECT_OK(driver.kill());
}

TEST(hostile, "a client that breaks the queue's rules is shut down, and the next one is served") {
    if (is_child(test)) return;
    auto driver = MUST(Driver::start(test));
    EXPECT_EQ(MUST(reason_after_jump(driver.interface(), soon())),
              static_cast<uint64_t>(channel::Fault::producer_index));
    auto next = MUST(Client::attach(driver.interface()));
    EXPECT_OK(resolve(next));
    EXPECT_OK(driver.kill());
}

TEST(detach, "clients come and go, by detaching or by closing their end") {
    if (is_child(test)) return;
    auto driver = MUST(Driver::start(test));
    for (unsigned i = 0; i < 4; ++i) {
        auto client = MUST(Client::attach(driver.interface()));
        EXPECT_OK(resolve(client));
        if (i % 2 == 0) client.detach();
    }
    EXPECT_EQ(MUST(driver.interface().statistics()).attachments, 4);
    EXPECT_OK(driver.kill());
}

TEST(client_death, "a client that dies with packets under way leaves the driver working") {
    if (is_child(test)) return;
    auto driver = MUST(Driver::start(test));
    const auto interface = driver.interface();
    const Grant grants[] = {{"interface", interface}};
    const std::string_view arguments[] = {"client=1", "only=child"};
    for (unsigned i = 0; i < 3; ++i) {
        const uint64_t before = MUST(interface.statistics()).sent_packets;
        auto child = MUST(Running::start(test, "programs/test_network_driver", arguments, grants));
        EXPECT_OK(await_sent(test, interface, before + 200));
        EXPECT_OK(child.kill());
    }
    auto client = MUST(Client::attach(interface));
    EXPECT_OK(flood(client, 100));
    EXPECT_OK(driver.kill());
}

TEST(driver_death,
     "a driver that dies with packets under way is replaced, and its client is told") {
    if (is_child(test)) return;
    for (unsigned i = 0; i < 3; ++i) {
        auto driver = MUST(Driver::start(test));
        auto client = MUST(Client::attach(driver.interface()));
        const Frame request = resolution_request(client.address());
        for (unsigned sent = 0; sent < 60; ++sent) EXPECT(client.send(request));
        EXPECT_OK(driver.kill());
        Frame frame;
        while (client.take(frame)) {
        }
        EXPECT_ERROR(client.channel().end().state(), Error::closed);
    }
}
