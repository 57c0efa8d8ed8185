// SPDX-License-Identifier: MIT
// Tests of UDP sockets, over lwIP's own loopback.
#include "tests/host/net/loop.h"

namespace annulus::net {
namespace {

using namespace test;
using abi::Verb;

class DatagramTest : public testing::Test {
protected:
    Loop& loop_ = Loop::instance();
    Node* any_ = nullptr;
    Node* one_ = nullptr;

    void SetUp() override {
        loop_.client_gone = false;
        any_ = loop_.open("udp/bind/7000");
        one_ = loop_.open("udp/connect/127.0.0.1/7000");
        ASSERT_NE(any_, nullptr);
        ASSERT_NE(one_, nullptr);
    }
    void TearDown() override {
        if (any_ != nullptr) any_->closed();
        if (one_ != nullptr) one_->closed();
    }
    Error error_of(uint64_t id) { return loop_.wait(id).outcome.status.code(); }
};

TEST_F(DatagramTest, arrive_whole_with_their_sender) {
    const uint64_t read = loop_.ask(*any_, Verb::read);
    EXPECT_EQ(loop_.wait(loop_.ask(*one_, Verb::write, "question")).outcome.words[0], 8u);
    const Asked& got = loop_.wait(read);
    EXPECT_EQ(got.bytes, "question");
    EXPECT_EQ(abi::peer_address(got.outcome.words[0]), 0x7f000001u);
    EXPECT_EQ(error_of(loop_.ask(*any_, Verb::write, "answer", got.outcome.words[0])), Error::ok);
    EXPECT_EQ(loop_.wait(loop_.ask(*one_, Verb::read)).bytes, "answer");
    EXPECT_EQ(error_of(loop_.ask(*any_, Verb::write, "", got.outcome.words[0])), Error::ok);
    EXPECT_EQ(loop_.wait(loop_.ask(*one_, Verb::read)).outcome.status.code(), Error::ok);
}

TEST_F(DatagramTest, a_socket_for_one_peer_reaches_no_other) {
    EXPECT_EQ(error_of(loop_.ask(*one_, Verb::write, "x", abi::peer_word(0x7f000001, 7001))),
              Error::not_granted);
    EXPECT_EQ(error_of(loop_.ask(*any_, Verb::write, "x")), Error::bad_argument);
}

TEST_F(DatagramTest, those_that_nobody_reads_are_dropped) {
    for (unsigned i = 0; i < 20; i++) {
        EXPECT_EQ(error_of(loop_.ask(*one_, Verb::write, std::to_string(i))), Error::ok);
    }
    loop_.run();
    const auto state = record_of<abi::DatagramState>(loop_.asked(loop_.ask(*any_, Verb::get)));
    EXPECT_EQ(state.received, 16u);
    EXPECT_EQ(state.dropped, 4u);
    for (unsigned i = 0; i < 16; i++) {
        EXPECT_EQ(loop_.wait(loop_.ask(*any_, Verb::read)).bytes, std::to_string(i));
    }
}

TEST_F(DatagramTest, are_limited_in_size_and_number) {
    const std::string most(abi::net_datagram_bytes_max, 'x');
    EXPECT_EQ(error_of(loop_.ask(*one_, Verb::write, most)), Error::ok);
    EXPECT_EQ(loop_.wait(loop_.ask(*any_, Verb::read)).bytes, most);
    EXPECT_EQ(error_of(loop_.ask(*one_, Verb::write, most + "x")), Error::limit);
    std::vector<Node*> more;
    for (unsigned i = 0; i < abi::net_datagram_sockets_max / 2 - 2; i++) {
        more.push_back(loop_.open("udp/bind/0"));
        EXPECT_NE(more.back(), nullptr);
    }
    EXPECT_EQ(error_of(loop_.ask(loop_.network().root(), Verb::open, "udp/bind/0")), Error::limit);
    for (Node* node : more) {
        if (node != nullptr) node->closed();
    }
    EXPECT_EQ(error_of(loop_.ask(loop_.network().root(), Verb::open, "udp/bind/7000")),
              Error::exists);
}

}  // namespace
}  // namespace annulus::net
