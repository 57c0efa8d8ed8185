// SPDX-License-Identifier: MIT
// The network protocol: what the service `net` answers. Sockets are objects, opened by path.
//
// network     open 0    as every directory's (word 0 flags 0, word 1 a handle or 0, bytes: a path)
//   "tcp/listen/PORT"             -> a listener
//   "tcp/connect/ADDRESS/PORT"    -> a connection, once it is established; word 1 may be the end
//                                    of a channel (moves), see below
//   "udp/bind/PORT"               -> a datagram socket; PORT 0: the service chooses
//   "udp/connect/ADDRESS/PORT"    -> a datagram socket that knows only this peer
//   a beginning of one of these   -> an object below which only such paths can be opened; the
//                                    empty path: the same object once more
//             get 0     out: NetworkState                    (the network itself only)
// listener    accept 0  in: word 0 the end of a channel (moves) or 0
//                       out: word 0 a connection, moved      answered when there is one
//             get 0     out: ListenerState
// connection  a stream (abi/stream.h): read 0, write 0, sync 0 (all sent bytes are acknowledged)
//             shutdown 0  in: word 0 sides, shutdown_send and shutdown_receive
//             share 0   in: word 0 the end of a channel (moves): bytes go through it from now on
//             get 0     out: ConnectionState
//             set 0     in: word 0 ConnectionOption, word 1 its value
// datagrams   read 0    out: word 0 the sender as a peer word, bytes: one datagram
//             write 0   in: word 0 the receiver as a peer word (0: the connected one), bytes: one
//                       datagram       out: word 0 bytes taken
//             get 0     out: DatagramState
//
// Each answers get_protocol (abi/protocol.h), too.
//
// ADDRESS is four decimal numbers or, for tcp, a host name; numbers have no leading zeros. Closing
// the last handle closes what it names; bytes that a connection has taken are still sent, for at
// most net_linger_seconds.
//
// Channels. The client makes a channel with byte streams (Structure::bytes, channel/geometry.h) of
// at most 2^net_stream_log2_max bytes each way, from its own budget, and hands over one end. Then
// what it writes there is sent and what arrives is found there, without a request; `read` and
// `write` are wrong_state. The client's `finish` ends its direction as shutdown_send does, after
// all bytes; the stream from the service ends when the peer's does. When the client lets go of its
// end, what it wrote is still sent, and what arrives is dropped. A client that breaks the rules of
// the streams faults the channel, and its connection is reset. When the connection breaks, the
// service shuts the channel down, with net_stream_reset or net_stream_timed_out, behind the bytes
// that arrived before. A channel that is closed without any of this says that the service has died.
//
// Errors of a handed channel: wrong_type (no channel), wrong_version (its structure), limit (too
// large, or too many), busy (the connection has one, or requests wait), no_budget (the service
// cannot reserve its pages).
//
// Errors: refused (the peer declined), no_route (no such network or host, or no address yet),
// timed_out, closed (the peer reset the connection, or this side was shut down), exists (the port
// is in use), limit (a limit below is reached), not_found (no such host name), bad_argument (the
// path is malformed), no_memory (no room for what is to be sent), wrong_state.
#pragma once

#include "abi/protocol.h"
#include "abi/verb.h"

#include <stdint.h>

namespace annulus::abi {

inline constexpr uint32_t net_version = protocol_version(1, 0);

inline constexpr uint16_t net_accept = 0;
inline constexpr uint16_t net_shutdown = 0;
inline constexpr uint16_t net_share = 0;
inline constexpr uint16_t net_get = 0;
inline constexpr uint16_t net_set = 0;

inline constexpr uint64_t shutdown_send = 1;     // the peer reads the end of the stream
inline constexpr uint64_t shutdown_receive = 2;  // what arrives from now on is dropped

// Limits of the service. A client is the budget of the program that opens or accepts. It gets one
// more of a kind while it has no more than are left free: one client alone half of all, a second
// one half of the rest; so whoever comes finds something.
inline constexpr unsigned net_connections_max = 256;  // in all, backlogs included
inline constexpr unsigned net_listeners_max = 16;
inline constexpr unsigned net_prefixes_max = 64;  // objects that stand for a beginning of a path
inline constexpr unsigned net_streams_max = 128;  // channels of connections
inline constexpr unsigned net_datagram_sockets_max = 16;
inline constexpr unsigned net_backlog_max = 32;   // connections that wait for accept, a listener
inline constexpr unsigned net_requests_max = 4;   // unanswered reads, or writes, of one connection
inline constexpr unsigned net_accepts_max = 128;  // unanswered accepts of one listener
inline constexpr unsigned net_linger_seconds = 20;
inline constexpr unsigned net_stream_log2_max = 16;       // 64 KiB each way
inline constexpr unsigned net_datagram_bytes_max = 1472;  // of one frame's payload

// Reasons of a channel's shutdown, beside channel::Fault.
inline constexpr uint32_t net_stream_reset = 256;      // by the peer
inline constexpr uint32_t net_stream_timed_out = 257;  // the peer does not answer any more

enum class ConnectionOption : uint64_t {
    no_delay = 0,            // 1: small writes are sent at once
    keep_alive_seconds = 1,  // a silent peer is asked after so many seconds; 0: never
};

// An IPv4 address and a port in one word; the address as a number, 10.0.2.15 is 0x0a00020f.
constexpr uint64_t peer_word(uint32_t address, uint16_t port) {
    return uint64_t{address} << 16 | port;
}
constexpr uint32_t peer_address(uint64_t word) { return static_cast<uint32_t>(word >> 16); }
constexpr uint16_t peer_port(uint64_t word) { return static_cast<uint16_t>(word); }

struct NetworkState {
    uint32_t address;  // 0: none yet
    uint32_t mask;
    uint32_t gateway;
    uint32_t name_server;
    uint64_t frames_received;
    uint64_t frames_sent;
    uint64_t frames_dropped;  // for lack of room, in either direction
    uint32_t connections;
    uint32_t link_up;
    uint8_t hardware_address[6];
    uint16_t reserved;
};

enum class ConnectionPhase : uint32_t { connecting = 0, open = 1, closed = 2 };

struct ConnectionState {
    ConnectionPhase phase;
    uint32_t peer_has_ended;  // 1: after the bytes that are here, the stream ends
    uint64_t local;           // peer words
    uint64_t peer;
    uint32_t readable;        // bytes that arrived
    uint32_t send_room;       // bytes that a write would take now
    uint32_t unacknowledged;  // bytes on their way
    uint32_t reserved;
};

struct ListenerState {
    uint32_t port;
    uint32_t waiting;   // connections that nobody has accepted
    uint64_t accepted;  // in all
};

struct DatagramState {
    uint64_t local;
    uint64_t peer;  // 0: any
    uint64_t received;
    uint64_t dropped;  // nobody read them in time
};

}  // namespace annulus::abi
