// SPDX-License-Identifier: MIT
// The firewall's decisions: what begins, what answers, what is refused and why.
#include "proxies/firewall/filter.h"

#include "tests/host/firewall/frames.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace annulus::firewall {
namespace {

constexpr uint64_t second = 1'000'000'000;

class FirewallFilter : public testing::Test {
protected:
    void rules(const std::string& text) { ASSERT_TRUE(rules_.read(text).ok()); }

    Verdict decide(Direction direction, const Bytes& frame, uint64_t now = 0) {
        if (!filter_) filter_ = std::make_unique<Filter>(rules_.all());
        return filter_->decide(direction,
                               std::span(frame).first(std::min(frame.size(), headers_max)),
                               frame.size(), now);
    }
    Verdict in(const Bytes& frame, uint64_t now = 0) { return decide(Direction::in, frame, now); }
    Verdict out(const Bytes& frame, uint64_t now = 0) { return decide(Direction::out, frame, now); }
    const Filter& filter() const { return *filter_; }

    const Ends web;

private:
    Rules rules_;
    std::unique_ptr<Filter> filter_;
};

TEST_F(FirewallFilter, NothingPassesWithoutRules) {
    for (const Bytes& frame : {tcp_frame(web, syn), tcp_frame(web, ack), udp_frame(web),
                               icmp_frame(web, 8, 1), arp_frame()}) {
        EXPECT_EQ(in(frame), Verdict::not_allowed);
        EXPECT_EQ(out(frame), Verdict::not_allowed);
    }
    EXPECT_EQ(filter().counts()[static_cast<size_t>(Verdict::not_allowed)], 10u);
}

TEST_F(FirewallFilter, ATcpRuleOpensOnePortOneWay) {
    rules("allow in tcp port 80");
    EXPECT_EQ(in(tcp_frame(web, syn)), Verdict::allowed);
    EXPECT_EQ(out(tcp_frame(web.swapped(), syn | ack)), Verdict::answer);
    EXPECT_EQ(out(tcp_frame(web.swapped(), ack, 1000)), Verdict::answer);
    // The server may not open connections from its port, nor may anybody to another one.
    EXPECT_EQ(out(tcp_frame(web.swapped(), syn)), Verdict::not_allowed);
    EXPECT_EQ(out(tcp_frame(web, syn)), Verdict::not_allowed);
    Ends other = web;
    other.destination_port = 81;
    EXPECT_EQ(in(tcp_frame(other, syn)), Verdict::not_allowed);
    EXPECT_EQ(in(tcp_frame(other, ack)), Verdict::not_allowed);
    EXPECT_EQ(in(udp_frame(web)), Verdict::not_allowed);
}

TEST_F(FirewallFilter, AddressesOfARuleCount) {
    rules("allow in tcp from 10.0.2.2 to 10.0.2.15 port 80");
    EXPECT_EQ(in(tcp_frame(web, syn)), Verdict::allowed);
    Ends other = web;
    other.source = address(10, 0, 2, 3);
    EXPECT_EQ(in(tcp_frame(other, syn)), Verdict::not_allowed);
    EXPECT_EQ(out(tcp_frame(other.swapped(), ack)), Verdict::not_allowed);
    other = web;
    other.destination = address(10, 0, 2, 16);
    EXPECT_EQ(in(tcp_frame(other, syn)), Verdict::not_allowed);
}

TEST_F(FirewallFilter, UdpAnswersPassForAMinute) {
    rules("allow out udp port 53");
    const Ends query = {address(10, 0, 2, 15), address(10, 0, 2, 3), 50000, 53};
    EXPECT_EQ(in(udp_frame(query.swapped())), Verdict::not_allowed);
    EXPECT_EQ(out(udp_frame(query), second), Verdict::allowed);
    EXPECT_EQ(in(udp_frame(query.swapped()), 61 * second), Verdict::answer);
    EXPECT_EQ(in(udp_frame(query.swapped()), 61 * second + 1), Verdict::not_allowed);
    // Another server or another port is no answer.
    EXPECT_EQ(out(udp_frame(query), 100 * second), Verdict::allowed);
    Ends forged = query.swapped();
    forged.source = address(10, 0, 2, 4);
    EXPECT_EQ(in(udp_frame(forged), 100 * second), Verdict::not_allowed);
    forged = query.swapped();
    forged.destination_port = 50001;
    EXPECT_EQ(in(udp_frame(forged), 100 * second), Verdict::not_allowed);
}

TEST_F(FirewallFilter, ABroadcastIsAnsweredByAnybody) {
    rules("allow out udp port 67");
    const Ends ask = {0, 0xffffffff, 68, 67};
    EXPECT_EQ(out(udp_frame(ask)), Verdict::allowed);
    EXPECT_EQ(in(udp_frame({address(10, 0, 2, 2), address(10, 0, 2, 15), 67, 68})),
              Verdict::answer);
    EXPECT_EQ(in(udp_frame({address(10, 0, 2, 2), address(10, 0, 2, 15), 67, 69})),
              Verdict::not_allowed);
}

TEST_F(FirewallFilter, AnEchoIsAnsweredUnderItsIdentifier) {
    rules("allow out icmp");
    EXPECT_EQ(in(icmp_frame(web, 0, 7)), Verdict::not_allowed);
    EXPECT_EQ(out(icmp_frame(web.swapped(), 8, 7)), Verdict::allowed);
    EXPECT_EQ(in(icmp_frame(web, 0, 8)), Verdict::not_allowed);
    EXPECT_EQ(in(icmp_frame(web, 0, 7)), Verdict::answer);
    EXPECT_EQ(in(icmp_frame(web, 8, 7)), Verdict::not_allowed);
}

TEST_F(FirewallFilter, ManyFlowsPushOutTheOldest) {
    rules("allow out udp");
    Ends query = web;
    for (uint64_t i = 0; i < 20'000; ++i) {
        query.source_port = static_cast<uint16_t>(i + 1);
        EXPECT_EQ(out(udp_frame(query), i), Verdict::allowed);
        ASSERT_EQ(in(udp_frame(query.swapped()), i), Verdict::answer);
    }
}

TEST_F(FirewallFilter, WhatIsNotUnderstoodDoesNotPass) {
    rules("allow both arp\nallow both tcp\nallow both udp\nallow both icmp");
    Bytes frame(60);
    put16(frame, 12, 0x86dd);  // IPv6
    EXPECT_EQ(in(frame), Verdict::unknown_protocol);
    EXPECT_EQ(in(ip_frame(132, web, 40)), Verdict::unknown_protocol);
    frame = arp_frame();
    frame[18] = 8;
    EXPECT_EQ(in(frame), Verdict::unknown_protocol);
    EXPECT_EQ(in(Bytes(13)), Verdict::short_frame);
}

TEST_F(FirewallFilter, EveryCutIsRefused) {
    rules("allow both arp\nallow both tcp\nallow both udp\nallow both icmp");
    for (const Bytes& whole :
         {tcp_frame(web, syn), udp_frame(web), icmp_frame(web, 8, 1), arp_frame()}) {
        EXPECT_EQ(in(whole), Verdict::allowed);
        for (size_t size = 0; size < whole.size(); ++size) {
            EXPECT_FALSE(passes(in(Bytes(whole.begin(), whole.begin() + long(size))))) << size;
        }
    }
}

// Whatever is understood ends well before; no byte behind headers_max is copied or looked at.
TEST_F(FirewallFilter, FramesMayBeLongerThanWhatIsCopiedOfThem) {
    rules("allow in tcp port 80");
    const size_t before = inner_at + 20;
    for (const size_t length : {headers_max, headers_max + 1, size_t{1514}}) {
        EXPECT_EQ(in(tcp_frame(web, syn, length - before)), Verdict::allowed) << length;
    }
}

TEST_F(FirewallFilter, RemembersFlowsInAllItsPlacesAndOneMoreTakesAnOldersPlace) {
    rules("allow out udp");
    // One more than flows_max: at least one is forgotten, whatever their places, and none of those
    // that are remembered is mistaken for another.
    const auto remembered = [&](size_t count) {
        size_t known = 0;
        for (size_t i = 0; i < count; ++i) {
            const Ends ends{web.destination, address(9, 9, uint32_t(i >> 8), uint32_t(i & 255)),
                            4000, 53};
            known += in(udp_frame(ends.swapped())) == Verdict::answer;
        }
        return known;
    };
    for (size_t i = 0; i < Filter::flows_max + 1; ++i) {
        const Ends ends{web.destination, address(9, 9, uint32_t(i >> 8), uint32_t(i & 255)), 4000,
                        53};
        EXPECT_EQ(out(udp_frame(ends)), Verdict::allowed);
        EXPECT_EQ(in(udp_frame(ends.swapped())), Verdict::answer);
        if (i == 7) {
            EXPECT_EQ(remembered(8), 8u);
        }
    }
    EXPECT_LE(remembered(Filter::flows_max + 1), Filter::flows_max);
    EXPECT_GE(remembered(Filter::flows_max + 1), Filter::flows_max / 2);
}

TEST_F(FirewallFilter, FragmentsDoNotPass) {
    rules("allow both tcp");
    for (const uint32_t field : {0x2000u, 0x0001u, 0x1fffu, 0x3fffu}) {
        Bytes frame = tcp_frame(web, syn);
        put16(frame, ip_at + 6, field);
        EXPECT_EQ(in(frame), Verdict::fragment) << field;
    }
    Bytes whole = tcp_frame(web, syn);
    put16(whole, ip_at + 6, 0x4000);  // don't fragment
    EXPECT_EQ(in(whole), Verdict::allowed);
}

TEST_F(FirewallFilter, LengthsThatContradictAreRefused) {
    rules("allow both tcp\nallow both udp");
    Bytes frame = tcp_frame(web, syn);
    frame[ip_at] = 0x44;
    EXPECT_EQ(in(frame), Verdict::bad_header);
    frame[ip_at] = 0x65;
    EXPECT_EQ(in(frame), Verdict::bad_header);
    frame = tcp_frame(web, syn);
    put16(frame, ip_at + 2, 41);
    EXPECT_EQ(in(frame), Verdict::bad_header);
    put16(frame, ip_at + 2, 19);
    EXPECT_EQ(in(frame), Verdict::bad_header);
    put16(frame, ip_at + 2, 39);  // the packet ends within its TCP header
    EXPECT_EQ(in(frame), Verdict::short_frame);
    frame = tcp_frame(web, syn);
    frame[inner_at + 12] = 0x60;
    EXPECT_EQ(in(frame), Verdict::bad_header);
    frame[inner_at + 12] = 0x40;
    EXPECT_EQ(in(frame), Verdict::bad_header);
    frame = udp_frame(web, 4);
    put16(frame, inner_at + 4, 13);
    EXPECT_EQ(in(frame), Verdict::bad_header);
    put16(frame, inner_at + 4, 7);
    EXPECT_EQ(in(frame), Verdict::bad_header);
}

TEST_F(FirewallFilter, OptionsMoveThePortsAndAreFollowed) {
    rules("allow in tcp port 80");
    Bytes frame = tcp_frame(web, syn);
    frame.insert(frame.begin() + inner_at, 40, uint8_t{1});
    frame[ip_at] = 0x4f;
    put16(frame, ip_at + 2, 80);
    EXPECT_EQ(in(frame), Verdict::allowed);
    put16(frame, inner_at + 40 + 2, 81);
    EXPECT_EQ(in(frame), Verdict::not_allowed);
}

}  // namespace
}  // namespace annulus::firewall
