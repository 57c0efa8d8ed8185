// SPDX-License-Identifier: MIT
// Functions of ours that lwIP's C sources call; defined in port.cpp.
#pragma once

#include <lwip/ip_addr.h>

struct netif;
struct pbuf;

#ifdef __cplusplus
extern "C" {
#endif

// The first sequence number of a connection.
u32_t annulus_lwip_sequence_number(const ip_addr_t* local, u16_t local_port,
                                   const ip_addr_t* remote, u16_t remote_port);

// Looks at each packet of IPv4 first. The first packet of a new connection between the ports of one
// that is in TIME_WAIT lets lwIP forget the old one. Always 0: lwIP goes on with the packet.
int annulus_lwip_reopen(const struct pbuf* packet, const struct netif* from);

#ifdef __cplusplus
}
#endif
