// SPDX-License-Identifier: MIT
// lwIP's options: what is compiled in, and the sizes of its pools, which are its only memory.
#pragma once

// One thread, no operating system below: the service calls the stack and looks after its timers.
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0

// Protocols.
#define LWIP_IPV4 1
#define LWIP_IPV6 0
#define LWIP_ARP 1
#define LWIP_ICMP 1
#define LWIP_RAW 0
#define LWIP_UDP 1
#define LWIP_TCP 1
#define LWIP_DHCP 1
#define DHCP_DOES_ARP_CHECK 0  // the server gave the address; asking again costs seconds
#define LWIP_AUTOIP 0
#define LWIP_IGMP 0
#define LWIP_DNS 1
#define LWIP_HAVE_LOOPIF 1  // 127.0.0.1: programs of this machine reach each other's listeners
#define LWIP_NETIF_LOOPBACK 1
#define LWIP_LOOPBACK_MAX_PBUFS 256
#define LWIP_NETIF_HOSTNAME 1
#define LWIP_NETIF_STATUS_CALLBACK 0
#define LWIP_STATS 0

// Memory. Outgoing data is copied into blocks of pools (lwippools.h), one a segment: a heap would
// be searched for each. Incoming frames go into pool buffers, from where connections take them at
// once, so that a slow reader holds none.
#define MEM_ALIGNMENT 8
#define MEM_LIBC_MALLOC 0
#define MEMP_MEM_MALLOC 0
#define MEM_USE_POOLS 1
#define MEM_USE_POOLS_TRY_BIGGER_POOL 1
#define MEMP_USE_CUSTOM_POOLS 1
#define PBUF_POOL_SIZE 512
#define PBUF_POOL_BUFSIZE 1536  // a whole frame
#define MEMP_NUM_PBUF 512
#define MEMP_NUM_TCP_PCB 512  // 256 connections, the rest is for those in TIME_WAIT and SYN_RCVD
#define MEMP_NUM_TCP_PCB_LISTEN 16
#define MEMP_NUM_UDP_PCB 20  // 16 of clients, DHCP, DNS
#define MEMP_NUM_TCP_SEG 8192
#define MEMP_NUM_REASSDATA 8
#define IP_REASS_MAX_PBUFS 32
#define MEMP_NUM_ARP_QUEUE 32
#define ARP_TABLE_SIZE 32
#define DNS_TABLE_SIZE 16
#define DNS_MAX_NAME_LENGTH 128

// TCP. The receive window equals the buffer of a connection (connection.h checks it).
#define TCP_MSS 1460
#define TCP_WND 32768
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 0
#define TCP_SND_BUF (64 * TCP_MSS)
#define TCP_SND_QUEUELEN 256
#define TCP_SNDLOWAT 32768  // must stay under 65535 - 4 * TCP_MSS
#define TCP_SNDQUEUELOWAT 128
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_PBUFS 16  // of the pool, for each connection
#define TCP_LISTEN_BACKLOG 1
#define LWIP_TCP_KEEPALIVE 1
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_RTO_TIME 1000  // before the first measurement (RFC 6298, 2.1)
#define SO_REUSE 1              // a listener may be opened while old connections are in TIME_WAIT

// A client whose host uses a port again soon is not kept waiting for two minutes.
#define LWIP_HOOK_IP4_INPUT annulus_lwip_reopen
// Initial sequence numbers that a stranger cannot guess (RFC 6528).
#define LWIP_HOOK_FILENAME "services/net/lwip/hooks.h"
#define LWIP_HOOK_TCP_ISN annulus_lwip_sequence_number
// A reader that comes late does not wait for the end.
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, packet, options, options_1, options_2, bytes) \
    annulus_lwip_refused_end(pcb, packet)
