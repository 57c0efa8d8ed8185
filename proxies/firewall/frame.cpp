// SPDX-License-Identifier: MIT
// Reading headers: every offset is checked against what was copied, every length against the frame.
#include "proxies/firewall/frame.h"

namespace annulus::firewall {

namespace {

constexpr size_t ethernet_size = 14;
constexpr size_t arp_size = 28;
constexpr size_t ip_size_min = 20;

constexpr uint16_t ether_type_ip = 0x0800;  // IANA, Ethernet numbers
constexpr uint16_t ether_type_arp = 0x0806;

// IANA, Protocol numbers.
constexpr uint8_t number_icmp = 1;
constexpr uint8_t number_tcp = 6;
constexpr uint8_t number_udp = 17;

constexpr uint8_t icmp_echo_reply = 0;
constexpr uint8_t icmp_echo = 8;

constexpr uint8_t tcp_syn = 0x02;  // RFC 9293, 3.1
constexpr uint8_t tcp_ack = 0x10;

using Bytes = std::span<const uint8_t>;

uint16_t word16(Bytes bytes, size_t at) {
    return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

uint32_t word32(Bytes bytes, size_t at) {
    return uint32_t{word16(bytes, at)} << 16 | word16(bytes, at + 2);
}

FrameFault read_arp(Bytes arp, Frame& frame) {
    if (arp.size() < arp_size) return FrameFault::short_frame;
    frame.protocol = Protocol::arp;
    // Ethernet and IPv4, with their address lengths.
    const bool known =
        word16(arp, 0) == 1 && word16(arp, 2) == ether_type_ip && arp[4] == 6 && arp[5] == 4;
    return known ? FrameFault::none : FrameFault::unknown_protocol;
}

FrameFault read_icmp(Bytes icmp, Frame& frame) {
    if (icmp.size() < 8) return FrameFault::short_frame;
    frame.protocol = Protocol::icmp;
    frame.icmp_type = icmp[0];
    if (icmp[0] == icmp_echo || icmp[0] == icmp_echo_reply) {
        frame.source_port = word16(icmp, 4);
        frame.destination_port = frame.source_port;
    }
    return FrameFault::none;
}

FrameFault read_tcp(Bytes tcp, size_t length, Frame& frame) {
    if (tcp.size() < 20) return FrameFault::short_frame;
    const size_t header = size_t{tcp[12]} >> 4 << 2;
    if (header < 20 || header > length) return FrameFault::bad_header;
    frame.protocol = Protocol::tcp;
    frame.source_port = word16(tcp, 0);
    frame.destination_port = word16(tcp, 2);
    frame.acknowledges = (tcp[13] & tcp_ack) != 0;
    frame.opens = (tcp[13] & (tcp_syn | tcp_ack)) == tcp_syn;
    return FrameFault::none;
}

FrameFault read_udp(Bytes udp, size_t length, Frame& frame) {
    if (udp.size() < 8) return FrameFault::short_frame;
    const size_t size = word16(udp, 4);
    if (size < 8 || size > length) return FrameFault::bad_header;
    frame.protocol = Protocol::udp;
    frame.source_port = word16(udp, 0);
    frame.destination_port = word16(udp, 2);
    return FrameFault::none;
}

// `length`: bytes of the frame from the IPv4 header on.
FrameFault read_ip(Bytes ip, size_t length, Frame& frame) {
    if (ip.size() < ip_size_min) return FrameFault::short_frame;
    const size_t header = size_t{ip[0]} % 16 * 4;
    const size_t total = word16(ip, 2);
    if (ip[0] >> 4 != 4 || header < ip_size_min || total < header || total > length) {
        return FrameFault::bad_header;
    }
    // More fragments follow, or this is not the first; the reserved and the don't-fragment bit are
    // no matter.
    if ((word16(ip, 6) & 0x3fff) != 0) return FrameFault::fragment;
    if (ip.size() < header) return FrameFault::short_frame;
    frame.source = word32(ip, 12);
    frame.destination = word32(ip, 16);
    // Padding behind the packet is nobody's.
    const size_t behind = total - header;
    const Bytes data = ip.subspan(header);
    const Bytes inner = data.first(data.size() < behind ? data.size() : behind);
    switch (ip[9]) {
        case number_icmp: return read_icmp(inner, frame);
        case number_tcp: return read_tcp(inner, behind, frame);
        case number_udp: return read_udp(inner, behind, frame);
        default: return FrameFault::unknown_protocol;
    }
}

}  // namespace

FrameFault read_frame(Bytes headers, size_t length, Frame& frame) {
    frame = {};
    if (headers.size() < ethernet_size || length < headers.size()) return FrameFault::short_frame;
    const Bytes inner = headers.subspan(ethernet_size);
    switch (word16(headers, 12)) {
        case ether_type_arp: return read_arp(inner, frame);
        case ether_type_ip: return read_ip(inner, length - ethernet_size, frame);
        default: return FrameFault::unknown_protocol;
    }
}

}  // namespace annulus::firewall
