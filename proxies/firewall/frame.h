// SPDX-License-Identifier: MIT
// What a filter needs to know of an Ethernet frame, read from a private copy of its headers.
//
// Understood: ARP for IPv4 (RFC 826); IPv4 (RFC 791) with ICMP (RFC 792), TCP (RFC 9293) and UDP
// (RFC 768). Everything else is named by the reason why it is not understood. Fragments are not:
// all but the first carry no ports, and the first can overlap with the next.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <span>

namespace annulus::firewall {

// The longest headers that can matter: 14 of Ethernet, 60 of IPv4, 60 of TCP.
inline constexpr size_t headers_max = 256;

enum class Protocol : uint8_t { arp, icmp, tcp, udp };

struct Frame {
    Protocol protocol{};
    bool opens = false;         // TCP only: asks for a connection (SYN without ACK)
    bool acknowledges = false;  // TCP only: ACK is set
    uint32_t source = 0;        // IPv4 addresses, most significant byte first; 0 for ARP
    uint32_t destination = 0;
    uint16_t source_port = 0;  // TCP and UDP; the identifier for an ICMP echo (both ports)
    uint16_t destination_port = 0;
    uint8_t icmp_type = 0;
};

enum class FrameFault : uint8_t {
    none,
    short_frame,       // ends within a header
    unknown_protocol,  // neither ARP nor IPv4, or none of the three protocols above IPv4
    bad_header,        // lengths or versions that contradict each other
    fragment,
};

// Reads the headers of a frame of `length` bytes, of which `headers` are the first
// min(length, headers_max). `frame` is complete if the answer is `none`.
FrameFault read_frame(std::span<const uint8_t> headers, size_t length, Frame& frame);

}  // namespace annulus::firewall
