// SPDX-License-Identifier: MIT
// Functions of ours that lwIP's C sources call; defined in port.cpp.
#pragma once

#include <lwip/ip_addr.h>

#ifdef __cplusplus
extern "C" {
#endif

// The first sequence number of a connection.
u32_t annulus_lwip_sequence_number(const ip_addr_t* local, u16_t local_port,
                                   const ip_addr_t* remote, u16_t remote_port);

#ifdef __cplusplus
}
#endif
