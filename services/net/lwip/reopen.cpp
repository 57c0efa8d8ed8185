// SPDX-License-Identifier: MIT
// Connections in TIME_WAIT give way to new ones, which lwIP does not do by itself.
//
// The side that closes first remembers the connection for two minutes, so that late packets of it
// disturb no other. lwIP answers a first packet between the same ports with an acknowledgement of
// the old connection and goes on remembering it: the client is reset, or repeats its packet for as
// long. RFC 1122, 4.2.2.13 allows a new connection when its sequence numbers begin behind those of
// the old one, since late packets are told from new ones then.
#include <cstddef>
#include <cstring>
#include <span>

#include <lwip/pbuf.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/prot/ip4.h>
#include <lwip/prot/tcp.h>

#include "services/net/lwip/hooks.h"

namespace annulus::net {
namespace {

// The connection in TIME_WAIT that a packet belongs to, or null.
tcp_pcb* find_waiting(const ip_hdr& ip, const tcp_hdr& tcp) {
    const u16_t to = lwip_ntohs(tcp.dest);
    const u16_t from = lwip_ntohs(tcp.src);
    // lwIP has at most MEMP_NUM_TCP_PCB of them, and looks through them in the same way.
    for (tcp_pcb* one = tcp_tw_pcbs; one != nullptr; one = one->next) {
        if (one->local_port == to && one->remote_port == from &&
            ip4_addr_get_u32(&one->remote_ip) == ip.src.addr &&
            ip4_addr_get_u32(&one->local_ip) == ip.dest.addr) {
            return one;
        }
    }
    return nullptr;
}

// The packet lies in one piece where it counts; `bytes` is that piece.
void look_at(std::span<const std::byte> bytes) {
    ip_hdr ip;
    tcp_hdr tcp;
    if (bytes.size() < sizeof(ip)) return;
    std::memcpy(&ip, bytes.data(), sizeof(ip));
    const size_t begin = IPH_HL_BYTES(&ip);
    const bool is_part = (IPH_OFFSET(&ip) & PP_HTONS(IP_OFFMASK | IP_MF)) != 0;
    if (IPH_PROTO(&ip) != IP_PROTO_TCP || is_part || begin < sizeof(ip)) return;
    if (bytes.size() < begin + sizeof(tcp)) return;
    std::memcpy(&tcp, bytes.data() + begin, sizeof(tcp));
    if ((TCPH_FLAGS(&tcp) & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN) return;
    tcp_pcb* const waiting = find_waiting(ip, tcp);
    if (waiting == nullptr) return;
    if (!TCP_SEQ_GT(lwip_ntohl(tcp.seqno), waiting->rcv_nxt)) return;
    tcp_pcb_remove(&tcp_tw_pcbs, waiting);
    tcp_free(waiting);
}

}  // namespace
}  // namespace annulus::net

extern "C" int annulus_lwip_reopen(const pbuf* packet, const netif* /*from*/) {
    annulus::net::look_at({static_cast<const std::byte*>(packet->payload), packet->len});
    return 0;
}
