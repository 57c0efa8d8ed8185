// SPDX-License-Identifier: MIT
// The protocol of network interfaces: what a driver, and whatever stands before one, answers.
//
// get 0     in: nothing   out: bytes: PacketInterfaceInfo
// get 1     in: nothing   out: bytes: PacketStatistics
// watch 0   in: word 0 a semaphore (moves) that gets one unit when the link goes up or down
//           out: nothing
// open 0    abi/directory.h, with an empty path, no flags, and as word 1 an end of a channel
//           (moves): attaches the client. out: word 0 the attachment (moves); it answers nothing,
//           and its last handle's close detaches
//
// The channel holds packet queues (Structure::packets, channel/geometry.h). The client makes it,
// and keeps the other end. Its memory is contiguous, since a device reads and writes it directly,
// and buffers have packet_buffer_min bytes or more. A packet is an Ethernet frame without its check
// sequence, packet_header bytes of header and up to `mtu` of payload; longer and shorter ones are
// dropped and counted. PacketDescriptor's flags and metadata are 0.
//
// An attachment ends when either end of the channel goes or is shut down. When the server breaks
// off it shuts the channel down, with a channel::Fault or with packet_device_failed.
//
// Errors of open: busy (there is a client), wrong_type (no channel), wrong_version (the channel's
// geometry), wrong_state (its memory is not contiguous), bad_argument (detail 1: no end; else words
// that must be 0).
#pragma once

#include "abi/protocol.h"
#include "abi/verb.h"

#include <stdint.h>

namespace annulus::abi {

inline constexpr uint32_t packet_version = protocol_version(1, 0);

inline constexpr uint16_t packet_get_info = 0;
inline constexpr uint16_t packet_get_statistics = 1;
inline constexpr uint16_t packet_watch_link = 0;

inline constexpr uint32_t packet_header = 14;        // of an Ethernet frame, in bytes
inline constexpr uint32_t packet_buffer_min = 2048;  // bytes of a channel's buffers
inline constexpr unsigned packet_watches_max = 8;    // watches of the link

// Reasons of a channel's shutdown, beside channel::Fault.
inline constexpr uint32_t packet_device_failed = 256;

struct PacketInterfaceInfo {
    uint8_t address[6];  // Ethernet
    uint16_t mtu;        // bytes of payload in a frame
    uint32_t link;       // 1: it is up
    uint32_t attached;   // 1: there is a client
};

// Since the server started.
struct PacketStatistics {
    uint64_t received_packets;
    uint64_t received_bytes;
    uint64_t sent_packets;
    uint64_t sent_bytes;
    uint64_t refused_packets;  // too short or too long to be sent
    uint64_t interrupts;
    uint64_t attachments;
};

}  // namespace annulus::abi
