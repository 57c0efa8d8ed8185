// SPDX-License-Identifier: MIT
// Frames for the firewall's tests: built byte by byte, so that each can be spoilt.
#pragma once

#include "proxies/firewall/frame.h"

#include <string>
#include <vector>

namespace annulus::firewall {

using Bytes = std::vector<uint8_t>;

constexpr uint32_t address(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    return a << 24 | b << 16 | c << 8 | d;
}

inline void put16(Bytes& bytes, size_t at, uint32_t value) {
    bytes[at] = static_cast<uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<uint8_t>(value);
}

inline void put32(Bytes& bytes, size_t at, uint32_t value) {
    put16(bytes, at, value >> 16);
    put16(bytes, at + 2, value);
}

struct Ends {
    uint32_t source = address(10, 0, 2, 2);
    uint32_t destination = address(10, 0, 2, 15);
    uint16_t source_port = 40000;
    uint16_t destination_port = 80;

    Ends swapped() const { return {destination, source, destination_port, source_port}; }
};

constexpr size_t ip_at = 14;
constexpr size_t inner_at = 34;

inline Bytes ip_frame(uint8_t protocol, const Ends& ends, size_t inner) {
    Bytes frame(inner_at + inner);
    put16(frame, 12, 0x0800);
    frame[ip_at] = 0x45;
    put16(frame, ip_at + 2, static_cast<uint32_t>(20 + inner));
    frame[ip_at + 9] = protocol;
    put32(frame, ip_at + 12, ends.source);
    put32(frame, ip_at + 16, ends.destination);
    return frame;
}

constexpr uint8_t syn = 0x02;
constexpr uint8_t ack = 0x10;

inline Bytes tcp_frame(const Ends& ends, uint8_t flags, size_t payload = 0) {
    Bytes frame = ip_frame(6, ends, 20 + payload);
    put16(frame, inner_at, ends.source_port);
    put16(frame, inner_at + 2, ends.destination_port);
    frame[inner_at + 12] = 0x50;
    frame[inner_at + 13] = flags;
    return frame;
}

inline Bytes udp_frame(const Ends& ends, size_t payload = 0) {
    Bytes frame = ip_frame(17, ends, 8 + payload);
    put16(frame, inner_at, ends.source_port);
    put16(frame, inner_at + 2, ends.destination_port);
    put16(frame, inner_at + 4, static_cast<uint32_t>(8 + payload));
    return frame;
}

inline Bytes icmp_frame(const Ends& ends, uint8_t type, uint16_t identifier) {
    Bytes frame = ip_frame(1, ends, 8);
    frame[inner_at] = type;
    put16(frame, inner_at + 4, identifier);
    return frame;
}

inline Bytes arp_frame() {
    Bytes frame(42);
    put16(frame, 12, 0x0806);
    put16(frame, 14, 1);
    put16(frame, 16, 0x0800);
    frame[18] = 6;
    frame[19] = 4;
    return frame;
}

}  // namespace annulus::firewall
