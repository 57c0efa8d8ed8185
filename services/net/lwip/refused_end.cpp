// SPDX-License-Identifier: MIT
// An end that met a closed window goes out again when the window opens, which lwIP does not do by
// itself.
//
// The end of what is sent counts like a byte (RFC 9293, 3.4), so a peer whose window is closed
// refuses it. lwIP sends it all the same, when all bytes fit, and repeats it after a second, then
// 2, 4, 8: a reader that comes late waits for as long after the last byte. Whoever writes until
// its peer has no room and closes then, meets this each time.
#include <lwip/priv/tcp_priv.h>
#include <lwip/prot/tcp.h>
#include <stdint.h>

#include "services/net/lwip/hooks.h"

namespace annulus::net {
namespace {

uint32_t end_of(const tcp_seg& segment) {
    return lwip_ntohl(segment.tcphdr->seqno) + TCP_TCPLEN(&segment);
}

// The first segment that was sent and that the packet does not acknowledge, or null. They are at
// most TCP_SND_QUEUELEN, and each is passed over once: the packet acknowledges it.
const tcp_seg* first_left(const tcp_pcb& pcb, uint32_t acknowledged) {
    const tcp_seg* segment = pcb.unacked;
    while (segment != nullptr && TCP_SEQ_LEQ(end_of(*segment), acknowledged)) {
        segment = segment->next;
    }
    return segment;
}

// The packet opens a window that was closed to the end, and nothing else is on its way.
bool lets_in_end(const tcp_pcb& pcb, const tcp_hdr& packet) {
    if (pcb.state == LISTEN || (pcb.flags & TF_FIN) == 0) return false;
    if ((TCPH_FLAGS(&packet) & TCP_ACK) == 0) return false;
    // lwIP has already turned the packet's numbers round.
    const tcp_seg* const left = first_left(pcb, packet.ackno);
    if (left == nullptr || (TCPH_FLAGS(left->tcphdr) & TCP_FIN) == 0) return false;
    const uint32_t end = end_of(*left);
    const uint32_t edge_before = pcb.snd_wl2 + pcb.snd_wnd;
    const uint32_t edge = packet.ackno + SND_WND_SCALE(&pcb, packet.wnd);
    return TCP_SEQ_GT(end, edge_before) && TCP_SEQ_LEQ(end, edge);
}

}  // namespace
}  // namespace annulus::net

extern "C" int annulus_lwip_refused_end(tcp_pcb* pcb, const tcp_hdr* packet) {
    // lwIP sends what is unsent when it is done with the packet. If the interface still holds the
    // segment this does nothing, and the timer is left.
    if (annulus::net::lets_in_end(*pcb, *packet)) static_cast<void>(tcp_rexmit_rto_prepare(pcb));
    return 0;
}
