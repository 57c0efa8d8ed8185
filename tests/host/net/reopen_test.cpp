// SPDX-License-Identifier: MIT
// Tests of ports that a client uses again while the old connection is in TIME_WAIT. The test is the
// client.
#include "tests/host/net/wire.h"

namespace annulus::net {
namespace {

using namespace test;
using abi::Verb;

constexpr uint16_t listening = 95;
constexpr size_t tcp_begin = 14 + 20;

class ReopenTest : public testing::Test {
protected:
    Loop& loop_ = Loop::instance();
    Wire& wire_ = Wire::instance();
    Node* listener_ = nullptr;

    void SetUp() override {
        loop_.client_gone = false;
        wire_.connect(loop_);
        wire_.full = false;
        Wire::arrive(loop_, arp_reply());
        listener_ = loop_.open("tcp/listen/95");
        ASSERT_NE(listener_, nullptr);
        loop_.run();
        wire_.sent.clear();
    }
    void TearDown() override {
        if (listener_ != nullptr) listener_->closed();
        loop_.run(130 * second);
        wire_.sent.clear();
    }

    // Sends a segment of the client and answers the last one that came back.
    std::optional<Segment> exchange(uint16_t port, const Segment& segment) {
        wire_.sent.clear();
        Wire::arrive(loop_, tcp_frame(port, listening, segment));
        loop_.run();
        return last();
    }
    std::optional<Segment> last() const {
        if (wire_.sent.empty()) return std::nullopt;
        const Frame& frame = wire_.sent.back();
        const auto number = [&](size_t at) {
            uint32_t found = 0;
            for (size_t i = 0; i < 4; i++) found = found << 8 | frame[tcp_begin + at + i];
            return found;
        };
        return Segment{number(4), number(8), frame[tcp_begin + 13]};
    }

    // A whole connection from a port, which the server closes first; ends in TIME_WAIT. The
    // client's sequence numbers go from `begin` to begin + 2.
    void connect_and_close(uint16_t port, uint32_t begin) {
        const uint64_t accept = loop_.ask(*listener_, Verb::accept);
        const auto greeted = exchange(port, {begin, 0, syn});
        ASSERT_TRUE(greeted.has_value());
        ASSERT_EQ(greeted->flags, syn | ack);
        exchange(port, {begin + 1, greeted->sequence + 1, ack});
        Node* const server = loop_.wait(accept).outcome.opened;
        ASSERT_NE(server, nullptr);
        wire_.sent.clear();
        server->closed();
        loop_.run();
        const auto ended = last();
        ASSERT_TRUE(ended.has_value());
        ASSERT_NE(ended->flags & fin, 0);
        exchange(port, {begin + 1, ended->sequence + 1, fin | ack});
    }
};

TEST_F(ReopenTest, a_port_that_is_used_again_gets_a_new_connection_at_once) {
    connect_and_close(2000, 1000);
    const auto greeted = exchange(2000, {5000, 0, syn});
    ASSERT_TRUE(greeted.has_value());
    EXPECT_EQ(greeted->flags, syn | ack);
    EXPECT_EQ(greeted->acknowledged, 5001u);
}

TEST_F(ReopenTest, a_late_first_packet_of_the_old_connection_opens_none) {
    connect_and_close(2001, 1000);
    for (const uint32_t old : {1000u, 900u, 1002u}) {
        const auto answer = exchange(2001, {old, 0, syn});
        EXPECT_TRUE(!answer.has_value() || (answer->flags & syn) == 0);
    }
}

TEST_F(ReopenTest, other_ports_are_not_forgotten) {
    connect_and_close(2002, 1000);
    connect_and_close(2003, 1000);
    const auto greeted = exchange(2003, {5000, 0, syn});
    ASSERT_TRUE(greeted.has_value());
    EXPECT_EQ(greeted->flags, syn | ack);
    const auto answer = exchange(2002, {1000, 0, syn});
    EXPECT_TRUE(!answer.has_value() || (answer->flags & syn) == 0);
}

}  // namespace
}  // namespace annulus::net
