// SPDX-License-Identifier: MIT
// Functions of ours that lwIP's C sources call.
#pragma once

#include <lwip/ip_addr.h>

struct netif;
struct pbuf;
// NOLINTNEXTLINE(readability-identifier-naming): lwIP's name
struct tcp_hdr;
// NOLINTNEXTLINE(readability-identifier-naming): lwIP's name
struct tcp_pcb;

#ifdef __cplusplus
extern "C" {
#endif

// The first sequence number of a connection (port.cpp).
u32_t annulus_lwip_sequence_number(const ip_addr_t* local, u16_t local_port,
                                   const ip_addr_t* remote, u16_t remote_port);

// Looks at each packet of IPv4 first. The first packet of a new connection between the ports of one
// that is in TIME_WAIT lets lwIP forget the old one (reopen.cpp). Always 0: lwIP goes on with the
// packet.
int annulus_lwip_reopen(const struct pbuf* packet, const struct netif* from);

// Looks at each packet for a connection or listener before lwIP uses it, with its numbers in the
// host's order. When it opens the window to an end that was refused before, lwIP sends that again
// (refused_end.cpp). Always 0: lwIP goes on with the packet.
int annulus_lwip_refused_end(struct tcp_pcb* pcb, const struct tcp_hdr* packet);

#ifdef __cplusplus
}
#endif
