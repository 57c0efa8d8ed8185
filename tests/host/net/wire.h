// SPDX-License-Identifier: MIT
// The wire of the network interface on the host. The test plays its other end.
#pragma once

#include <deque>

#include "tests/host/net/loop.h"

namespace annulus::net::test {

using Frame = std::vector<uint8_t>;

constexpr HardwareAddress own_hardware = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
constexpr uint32_t own_address = 0x0a00020f;
constexpr uint32_t peer_address = 0x0a000202;

// Keeps what the stack sends. There is one, since the interface exists once in a program.
class Wire final : public PacketLink {
public:
    static Wire& instance() {
        static Wire wire;
        return wire;
    }

    // Brings the interface up.
    void connect(Loop& loop) {
        Interface& interface = loop.network().interface();
        if (interface.started()) return;
        const FixedAddress fixed = {own_address, 0xffffff00, peer_address, peer_address};
        interface.start(*this, own_hardware, 1500, true, fixed);
        loop.run();
    }

    bool send(std::span<const FramePart> parts) override {
        if (full) return false;
        Frame frame;
        for (const FramePart part : parts) {
            for (const std::byte byte : part) frame.push_back(static_cast<uint8_t>(byte));
        }
        sent.push_back(frame);
        return true;
    }

    static void arrive(Loop& loop, const Frame& frame) {
        Interface& interface = loop.network().interface();
        const auto space = interface.receive_space(frame.size());
        if (space.empty()) return;
        std::copy_n(std::as_bytes(std::span(frame)).begin(), frame.size(), space.begin());
        interface.receive();
    }

    std::deque<Frame> sent;
    bool full = false;
};

// Appends a number, the highest byte first.
inline void put(Frame& frame, uint64_t value, unsigned bytes) {
    while (bytes-- > 0) frame.push_back(static_cast<uint8_t>(value >> 8 * bytes));
}

// A header to own_hardware.
inline Frame ethernet(uint16_t type) {
    Frame frame;
    for (const uint8_t byte : own_hardware) frame.push_back(byte);
    put(frame, 0x020000000001, 6);
    put(frame, type, 2);
    return frame;
}

// As RFC 1071 has it.
inline uint16_t checksum(std::span<const uint8_t> bytes) {
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes.size(); i++) sum += uint32_t{bytes[i]} << (i % 2 == 0 ? 8 : 0);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

// What makes peer_address known.
inline Frame arp_reply() {
    Frame frame = ethernet(0x0806);
    put(frame, 0x0001080006040002, 8);
    put(frame, 0x020000000001, 6);
    put(frame, peer_address, 4);
    for (const uint8_t byte : own_hardware) frame.push_back(byte);
    put(frame, own_address, 4);
    return frame;
}

// A packet from `from`.
inline Frame ip_frame(uint8_t protocol, const Frame& payload, uint32_t from = peer_address) {
    Frame header;
    put(header, 0x4500, 2);
    put(header, 20 + payload.size(), 2);
    put(header, 0x12340000, 4);
    put(header, 64, 1);
    put(header, protocol, 1);
    put(header, 0, 2);
    put(header, from, 4);
    put(header, own_address, 4);
    const uint16_t sum = checksum(header);
    header[10] = static_cast<uint8_t>(sum >> 8);
    header[11] = static_cast<uint8_t>(sum);
    Frame frame = ethernet(0x0800);
    frame.insert(frame.end(), header.begin(), header.end());
    frame.insert(frame.end(), payload.begin(), payload.end());
    return frame;
}

// Flags of a segment (RFC 9293, section 3.1).
constexpr uint8_t fin = 1;
constexpr uint8_t syn = 2;
constexpr uint8_t ack = 16;

// A TCP segment without data.
struct Segment {
    uint32_t sequence;
    uint32_t acknowledged;
    uint8_t flags;
};

// A segment from a port of `from` to one of ours.
inline Frame tcp_frame(uint16_t port, uint16_t to, const Segment& segment,
                       uint32_t from = peer_address) {
    Frame tcp;
    put(tcp, port, 2);
    put(tcp, to, 2);
    put(tcp, segment.sequence, 4);
    put(tcp, segment.acknowledged, 4);
    put(tcp, 0x50, 1);
    put(tcp, segment.flags, 1);
    put(tcp, 0xffff, 2);
    put(tcp, 0, 4);
    Frame sum;
    put(sum, from, 4);
    put(sum, own_address, 4);
    put(sum, 6, 2);
    put(sum, tcp.size(), 2);
    sum.insert(sum.end(), tcp.begin(), tcp.end());
    const uint16_t value = checksum(sum);
    tcp[16] = static_cast<uint8_t>(value >> 8);
    tcp[17] = static_cast<uint8_t>(value);
    return ip_frame(6, tcp, from);
}

}  // namespace annulus::net::test
