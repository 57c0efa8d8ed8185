// SPDX-License-Identifier: MIT
// Tests of TCP over a wire that loses, repeats and reorders, of floods, and of names' answers.
//
// The wire's other end is a mirror: each packet comes back with its addresses exchanged, so the
// stack talks with itself, as two hosts (sums over addresses do not change when they are
// exchanged).
#include <random>

#include "tests/host/net/wire.h"

namespace annulus::net {
namespace {

using namespace test;
using abi::Verb;

constexpr size_t ip_begin = 14;
constexpr size_t tcp_begin = ip_begin + 20;

struct Weather {
    unsigned lost = 0;  // of a hundred packets
    unsigned repeated = 0;
    unsigned late = 0;  // overtaken by up to eight others
};

class LossTest : public testing::Test {
protected:
    Loop& loop_ = Loop::instance();
    std::mt19937 random_{42};
    std::deque<Frame> late_;
    unsigned lost_ = 0;
    unsigned repeated_ = 0;
    unsigned overtaken_ = 0;

    Wire& wire() { return Wire::instance(); }

    void SetUp() override {
        loop_.client_gone = false;
        wire().connect(loop_);
        wire().full = false;
        wire().sent.clear();
        Wire::arrive(loop_, arp_reply());
    }
    // Sends back what was sent, in this weather, and lets time pass.
    void reflect(const Weather& weather, uint64_t span = 5 * millisecond) {
        const auto chance = [&](unsigned percent) { return random_() % 100 < percent; };
        for (size_t count = wire().sent.size(); count > 0; count--) {
            Frame frame = std::move(wire().sent.front());
            wire().sent.pop_front();
            const bool is_tcp = frame.size() > tcp_begin && frame[12] == 8 && frame[13] == 0 &&
                                frame[ip_begin + 9] == 6;
            if (!is_tcp) continue;
            if (chance(weather.lost)) {
                lost_++;
                continue;
            }
            std::swap_ranges(frame.begin(), frame.begin() + 6, frame.begin() + 6);
            std::swap_ranges(frame.begin() + ip_begin + 12, frame.begin() + ip_begin + 16,
                             frame.begin() + ip_begin + 16);
            if (chance(weather.late)) {
                overtaken_++;
                late_.push_back(std::move(frame));
                continue;
            }
            Wire::arrive(loop_, frame);
            if (chance(weather.repeated)) {
                repeated_++;
                Wire::arrive(loop_, frame);
            }
            if (late_.size() > random_() % 8) {
                Wire::arrive(loop_, late_.front());
                late_.pop_front();
            }
        }
        loop_.run(span);
        if (wire().sent.empty() && !late_.empty()) {
            Wire::arrive(loop_, late_.front());
            late_.pop_front();
        }
    }
    Asked& wait(uint64_t id, const Weather& weather, unsigned turns = 20'000) {
        while (!loop_.asked(id).answered && turns-- > 0) reflect(weather);
        return loop_.asked(id);
    }
    void carry(const Weather& weather, size_t bytes);
};

// Opens a connection, sends a pattern one way, ends it, and compares what arrived.
void LossTest::carry(const Weather& weather, size_t bytes) {
    Node* const listener = loop_.open("tcp/listen/90");
    ASSERT_NE(listener, nullptr);
    const uint64_t accept = loop_.ask(*listener, Verb::accept);
    const uint64_t open = loop_.ask(loop_.network().root(), Verb::open, "tcp/connect/10.0.2.2/90");
    Node* const client = wait(open, weather).outcome.opened;
    Node* const server = wait(accept, weather).outcome.opened;
    ASSERT_NE(client, nullptr);
    ASSERT_NE(server, nullptr);
    std::string sent(bytes, 0);
    for (char& byte : sent) byte = static_cast<char>(random_());
    std::string got;
    size_t written = 0;
    uint64_t write = 0;
    bool ended = false;
    for (unsigned turns = 0; !ended && turns < 200'000; turns++) {
        if (write != 0 && loop_.asked(write).answered) {
            written += loop_.asked(write).outcome.words[0];
            write = 0;
            if (written == sent.size()) {
                static_cast<void>(loop_.ask(*client, Verb::shutdown, {}, abi::shutdown_send));
            }
        }
        if (write == 0 && written < sent.size()) {
            write = loop_.ask(*client, Verb::write,
                              std::string_view(sent).substr(written, Loop::block_bytes));
        }
        const Asked& part = wait(loop_.ask(*server, Verb::read), weather);
        ASSERT_TRUE(part.answered);
        ASSERT_EQ(part.outcome.status.code(), Error::ok);
        ended = part.bytes.empty();
        got += part.bytes;
    }
    EXPECT_EQ(got.size(), sent.size());
    EXPECT_TRUE(got == sent);
    client->closed();
    server->closed();
    listener->closed();
    for (unsigned turns = 0; turns < 2000; turns++) reflect({}, 50 * millisecond);
}

// Each write adds a part to the segment that waits for room.
TEST_F(LossTest, small_writes_that_waited_for_room_go_as_one_segment) {
    constexpr unsigned writes = 40;
    constexpr auto no_delay = static_cast<uint64_t>(abi::ConnectionOption::no_delay);
    Node* const listener = loop_.open("tcp/listen/91");
    ASSERT_NE(listener, nullptr);
    const uint64_t accept = loop_.ask(*listener, Verb::accept);
    const uint64_t open = loop_.ask(loop_.network().root(), Verb::open, "tcp/connect/10.0.2.2/91");
    Node* const client = wait(open, {}).outcome.opened;
    Node* const server = wait(accept, {}).outcome.opened;
    ASSERT_NE(client, nullptr);
    ASSERT_NE(server, nullptr);
    // As for http: otherwise lwIP leaves room behind a write, and the next one has no part of its
    // own.
    const uint64_t option = loop_.ask(*client, Verb::set, {}, no_delay, 1);
    ASSERT_EQ(loop_.asked(option).outcome.status.code(), Error::ok);
    wire().full = true;
    std::string sent;
    for (unsigned i = 0; i < writes; i++) {
        const std::string part(30, static_cast<char>('a' + i % 26));
        const Asked& write = loop_.asked(loop_.ask(*client, Verb::write, part));
        ASSERT_TRUE(write.answered);
        ASSERT_EQ(write.outcome.words[0], part.size());
        sent += part;
    }
    wire().full = false;
    loop_.network().interface().send_waiting();
    std::string got;
    while (got.size() < sent.size()) {
        const Asked& part = wait(loop_.ask(*server, Verb::read), {}, 500);
        ASSERT_TRUE(part.answered);
        ASSERT_EQ(part.outcome.status.code(), Error::ok);
        got += part.bytes;
    }
    EXPECT_TRUE(got == sent);
    client->closed();
    server->closed();
    listener->closed();
    for (unsigned turns = 0; turns < 2000; turns++) reflect({}, 50 * millisecond);
}

TEST_F(LossTest, bytes_arrive_when_packets_are_lost) {
    carry({.lost = 8}, 300'000);
    EXPECT_GT(lost_, 10u);
}

TEST_F(LossTest, bytes_arrive_when_packets_come_twice) {
    carry({.repeated = 30}, 300'000);
    EXPECT_GT(repeated_, 50u);
}

TEST_F(LossTest, bytes_arrive_when_packets_overtake_each_other) {
    carry({.late = 20}, 300'000);
    EXPECT_GT(overtaken_, 30u);
}

TEST_F(LossTest, bytes_arrive_in_all_of_it) {
    carry({.lost = 5, .repeated = 10, .late = 10}, 200'000);
    EXPECT_GT(lost_, 5u);
}

// A first packet from `port` of the peer.
Frame first_packet(uint16_t port, uint16_t to) {
    return tcp_frame(port, to, {port * 1000u, 0, syn});
}

TEST_F(LossTest, a_flood_of_first_packets_fills_one_backlog_for_a_while) {
    Node* const flooded = loop_.open("tcp/listen/90");
    Node* const other = loop_.open("tcp/listen/91");
    ASSERT_NE(flooded, nullptr);
    ASSERT_NE(other, nullptr);
    for (uint16_t port = 1000; port < 1300; port++) {
        Wire::arrive(loop_, first_packet(port, 90));
        loop_.run(millisecond);
    }
    const size_t answered = wire().sent.size();
    EXPECT_LE(answered, size_t{abi::net_backlog_max});
    EXPECT_GE(answered, size_t{abi::net_backlog_max} / 2);
    wire().sent.clear();
    // Whoever comes to the flooded port waits; others do not notice.
    const uint64_t accepts[] = {loop_.ask(*flooded, Verb::accept), loop_.ask(*other, Verb::accept)};
    Node& root = loop_.network().root();
    const uint64_t late = loop_.ask(root, Verb::open, "tcp/connect/10.0.2.2/90");
    const uint64_t now = loop_.ask(root, Verb::open, "tcp/connect/10.0.2.2/91");
    std::vector<Node*> opened = {wait(now, {}).outcome.opened, wait(accepts[1], {}).outcome.opened};
    EXPECT_FALSE(loop_.asked(late).answered);
    const uint64_t begin = loop_.now();
    opened.push_back(wait(late, {}).outcome.opened);
    opened.push_back(wait(accepts[0], {}).outcome.opened);
    EXPECT_LT(loop_.now() - begin, 60 * second);
    for (Node* const node : opened) {
        ASSERT_NE(node, nullptr);
        node->closed();
    }
    flooded->closed();
    other->closed();
    for (unsigned turns = 0; turns < 2000; turns++) reflect({}, 50 * millisecond);
}

class NameTest : public LossTest {
protected:
    static constexpr uint16_t name_port = 53;

    // Answers the question that was sent last: `code` of RFC 1035, with `address` if that is 0.
    void answer(uint8_t code, uint32_t address, uint16_t other_id = 0) {
        constexpr size_t udp = tcp_begin;
        constexpr size_t message = udp + 8;
        while (!wire().sent.empty()) {
            const Frame question = wire().sent.front();
            wire().sent.pop_front();
            if (question.size() < message + 12 || question[ip_begin + 9] != 17) continue;
            if (question[udp + 2] != 0 || question[udp + 3] != name_port) continue;
            Frame text(question.begin() + message, question.end());
            text[0] = static_cast<uint8_t>(text[0] ^ (other_id >> 8));
            text[1] = static_cast<uint8_t>(text[1] ^ other_id);
            text[2] = 0x81;
            text[3] = static_cast<uint8_t>(0x80 | code);
            text[7] = code == 0 ? 1 : 0;
            if (code == 0) {
                put(text, 0xc00c, 2);
                put(text, 0x00010001, 4);
                put(text, 60, 4);
                put(text, 4, 2);
                put(text, address, 4);
            }
            Frame datagram;
            put(datagram, name_port, 2);
            put(datagram, uint64_t{question[udp]} << 8 | question[udp + 1], 2);
            put(datagram, 8 + text.size(), 2);
            put(datagram, 0, 2);  // no checksum
            datagram.insert(datagram.end(), text.begin(), text.end());
            Wire::arrive(loop_, ip_frame(17, datagram));
        }
        loop_.run(millisecond);
    }
    uint64_t connect(std::string_view path) {
        const uint64_t open = loop_.ask(loop_.network().root(), Verb::open, path);
        loop_.run(millisecond);
        return open;
    }
};

TEST_F(NameTest, a_host_is_reached_by_its_name) {
    Node* const listener = loop_.open("tcp/listen/90");
    ASSERT_NE(listener, nullptr);
    const uint64_t accept = loop_.ask(*listener, Verb::accept);
    const uint64_t open = connect("tcp/connect/first.example.org/90");
    EXPECT_FALSE(wire().sent.empty());
    answer(0, peer_address);
    Node* const client = wait(open, {}).outcome.opened;
    Node* const server = wait(accept, {}).outcome.opened;
    ASSERT_NE(client, nullptr);
    ASSERT_NE(server, nullptr);
    client->closed();
    server->closed();
    listener->closed();
    for (unsigned turns = 0; turns < 2000; turns++) reflect({}, 50 * millisecond);
}

TEST_F(NameTest, a_name_that_does_not_exist_is_not_found) {
    const uint64_t open = connect("tcp/connect/second.example.org/90");
    answer(3, 0);
    EXPECT_TRUE(loop_.asked(open).answered);
    EXPECT_EQ(loop_.asked(open).outcome.status.code(), Error::not_found);
}

TEST_F(NameTest, an_answer_to_another_question_is_not_believed) {
    const uint64_t open = connect("tcp/connect/third.example.org/90");
    const auto asked = wire().sent;
    answer(3, 0, 0x1234);
    EXPECT_FALSE(loop_.asked(open).answered);
    wire().sent = asked;
    answer(3, 0);
    EXPECT_EQ(loop_.asked(open).outcome.status.code(), Error::not_found);
}

}  // namespace
}  // namespace annulus::net
