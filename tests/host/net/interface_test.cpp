// SPDX-License-Identifier: MIT
// Tests of the network interface: frames on a wire whose other end the test plays.
#include "tests/host/net/wire.h"

namespace annulus::net {
namespace {

using namespace test;
using abi::Verb;

Frame echo_request(size_t bytes) {
    Frame icmp;
    put(icmp, 0x08000000, 4);
    put(icmp, 0x00010002, 4);
    icmp.resize(8 + bytes, 0x55);
    const uint16_t sum = checksum(icmp);
    icmp[2] = static_cast<uint8_t>(sum >> 8);
    icmp[3] = static_cast<uint8_t>(sum);
    return ip_frame(1, icmp);
}

class InterfaceTest : public testing::Test {
protected:
    Loop& loop_ = Loop::instance();

    Wire& wire() { return Wire::instance(); }
    Interface& interface() { return loop_.network().interface(); }

    void SetUp() override {
        loop_.client_gone = false;
        wire().connect(loop_);
        wire().sent.clear();
        wire().full = false;
    }
    void arrive(const Frame& frame) {
        Wire::arrive(loop_, frame);
        loop_.run();
    }
    abi::NetworkState state() {
        return record_of<abi::NetworkState>(
            loop_.asked(loop_.ask(loop_.network().root(), Verb::get)));
    }
};

TEST_F(InterfaceTest, an_echo_request_is_answered) {
    arrive(arp_reply());
    arrive(echo_request(100));
    bool answered = false;
    for (const Frame& frame : wire().sent) {
        const bool is_ip = frame.size() > 34 && frame[12] == 8 && frame[13] == 0;
        if (is_ip && frame[23] == 1 && frame[34] == 0) answered = true;
    }
    EXPECT_TRUE(answered);
}

TEST_F(InterfaceTest, its_state_tells_address_and_counts) {
    const auto before = state();
    EXPECT_EQ(before.address, own_address);
    EXPECT_EQ(before.gateway, peer_address);
    EXPECT_EQ(before.link_up, 1u);
    EXPECT_EQ(before.hardware_address[5], own_hardware[5]);
    arrive(echo_request(1));
    EXPECT_EQ(state().frames_received, before.frames_received + 1);
}

TEST_F(InterfaceTest, frames_of_impossible_size_are_dropped) {
    const auto before = state();
    for (const size_t bytes :
         {size_t{0}, size_t{1}, frame_header_bytes - 1, frame_bytes_max + 1, size_t{65536}}) {
        arrive(Frame(bytes));
    }
    EXPECT_EQ(state().frames_dropped, before.frames_dropped + 5);
    EXPECT_EQ(state().frames_received, before.frames_received);
    arrive(Frame(frame_bytes_max));
    EXPECT_EQ(state().frames_received, before.frames_received + 1);
}

TEST_F(InterfaceTest, a_full_wire_loses_frames_and_nothing_else) {
    arrive(arp_reply());
    wire().full = true;
    const auto before = state();
    arrive(echo_request(10));
    EXPECT_EQ(state().frames_dropped, before.frames_dropped + 1);
    wire().full = false;
    arrive(echo_request(10));
    EXPECT_EQ(wire().sent.size(), 1u);
}

TEST_F(InterfaceTest, a_connection_attempt_is_sent_and_ends_at_its_deadline) {
    arrive(arp_reply());
    const uint64_t open = loop_.ask(loop_.network().root(), Verb::open, "tcp/connect/10.0.2.2/9", 0,
                                    0, 1, loop_.now() + second);
    loop_.run();
    ASSERT_FALSE(wire().sent.empty());
    const Frame& first = wire().sent.front();
    ASSERT_GT(first.size(), 47u);
    EXPECT_EQ(first[23], 6);
    EXPECT_EQ(first[47], syn);
    EXPECT_EQ(loop_.wait(open).outcome.status.code(), Error::timed_out);
    EXPECT_EQ(state().connections, 0u);
}

TEST_F(InterfaceTest, foreign_loopback_addresses_are_not_believed) {
    Node* const socket = loop_.open("udp/bind/7000");
    ASSERT_NE(socket, nullptr);
    const auto received = [&] {
        return record_of<abi::DatagramState>(loop_.asked(loop_.ask(*socket, Verb::get))).received;
    };
    Frame datagram;
    put(datagram, 1000, 2);
    put(datagram, 7000, 2);
    put(datagram, 9, 2);
    put(datagram, 0, 2);  // no checksum
    put(datagram, 'x', 1);
    arrive(ip_frame(17, datagram, 0x7f000001));
    arrive(ip_frame(17, datagram, 0x7fffffff));
    EXPECT_EQ(received(), 0u);
    // The same arrives when it comes from where it can come from.
    arrive(ip_frame(17, datagram));
    EXPECT_EQ(received(), 1u);
    socket->closed();
}

}  // namespace
}  // namespace annulus::net
