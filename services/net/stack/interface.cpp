// SPDX-License-Identifier: MIT
// The network interface.
#include "services/net/stack/interface.h"

#include <lwip/dhcp.h>
#include <lwip/dns.h>
#include <lwip/etharp.h>
#include <lwip/priv/tcp_priv.h>
#include <netif/ethernet.h>

#include <algorithm>
#include <utility>

namespace annulus::net {
namespace {

ip4_addr_t network_order(uint32_t address) { return {lwip_htonl(address)}; }
uint32_t number_of(const ip4_addr_t* address) { return lwip_ntohl(ip4_addr_get_u32(address)); }

// Whether a frame says that it comes from 127.0.0.0/8, which never is on a wire (RFC 1122, section
// 3.2.1.3). lwIP looks at the destination only, and who serves this machine's programs by their
// address would believe it.
bool is_from_loopback(std::span<const std::byte> frame) {
    constexpr size_t type = 12;
    constexpr size_t source = frame_header_bytes + 12;
    constexpr std::byte loopback_net{127};
    return frame.size() > source && frame[type] == std::byte{0x08} &&
           frame[type + 1] == std::byte{0x00} && frame[source] == loopback_net;
}

}  // namespace

void Interface::start(PacketLink& link, const HardwareAddress& hardware, size_t mtu, bool link_up,
                      const std::optional<FixedAddress>& fixed) {
    constexpr size_t mtu_max = frame_bytes_max - frame_header_bytes;
    started_ = true;
    link_ = &link;
    hardware_ = hardware;
    mtu_ = std::min(mtu, mtu_max);
    const FixedAddress chosen = fixed.value_or(FixedAddress{});
    const ip4_addr_t address = network_order(chosen.address);
    const ip4_addr_t mask = network_order(chosen.mask);
    const ip4_addr_t gateway = network_order(chosen.gateway);
    netif_add(&netif_, &address, &mask, &gateway, this, prepare, ethernet_input);
    netif_set_default(&netif_);
    netif_set_up(&netif_);
    set_link_up(link_up);
    if (!fixed.has_value()) {
        // Its errors are of memory, and there is enough at the start.
        static_cast<void>(dhcp_start(&netif_));
    } else if (chosen.name_server != 0) {
        const ip_addr_t server = IPADDR4_INIT(lwip_htonl(chosen.name_server));
        dns_setserver(0, &server);
    }
}

err_t Interface::prepare(netif* interface) {
    const auto& self = *static_cast<Interface*>(interface->state);
    interface->name[0] = 'e';
    interface->name[1] = 'n';
    interface->hostname = "annulus";
    interface->output = etharp_output;
    interface->linkoutput = transmit;
    interface->mtu = static_cast<u16_t>(self.mtu_);
    interface->hwaddr_len = ETH_HWADDR_LEN;
    std::copy(self.hardware_.begin(), self.hardware_.end(), interface->hwaddr);
    interface->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
    return ERR_OK;
}

// A segment that many small writes made has more parts than a link takes: those go as one.
bool Interface::send(pbuf& packet) {
    std::array<FramePart, frame_parts_max> parts;
    size_t count = 0;
    const pbuf* part = &packet;
    for (; part != nullptr && count < parts.size(); part = part->next) {
        parts[count++] = {static_cast<const std::byte*>(part->payload), part->len};
        if (part->len == part->tot_len) return link_->send(std::span(parts).first(count));
    }
    std::array<std::byte, frame_bytes_max> frame;
    if (packet.tot_len > frame.size()) return false;
    pbuf_copy_partial(&packet, frame.data(), packet.tot_len, 0);
    parts[0] = std::span(frame).first(packet.tot_len);
    return link_->send(std::span(parts).first(1));
}

err_t Interface::transmit(netif* interface, pbuf* packet) {
    auto& self = *static_cast<Interface*>(interface->state);
    if (self.link_ != nullptr && self.send(*packet)) {
        self.sent_++;
        return ERR_OK;
    }
    // TCP keeps its segments and sends them when there is room; the others are lost.
    self.dropped_++;
    self.lacks_room_ = true;
    return ERR_MEM;
}

void Interface::unlink() {
    link_ = nullptr;
    lacks_room_ = false;
}

void Interface::relink(PacketLink& link, bool link_up) {
    link_ = &link;
    set_link_up(link_up);
    send_waiting();
}

void Interface::send_waiting() {
    lacks_room_ = false;
    tcp_txnow();
}

std::span<std::byte> Interface::receive_space(size_t bytes) {
    static_assert(frame_bytes_max <= PBUF_POOL_BUFSIZE, "a frame lies in one buffer");
    // One that the caller gave up.
    if (arriving_ != nullptr) pbuf_free(std::exchange(arriving_, nullptr));
    if (link_ != nullptr && bytes >= frame_header_bytes && bytes <= frame_bytes_max) {
        arriving_ = pbuf_alloc(PBUF_RAW, static_cast<u16_t>(bytes), PBUF_POOL);
    }
    if (arriving_ == nullptr) {
        dropped_++;
        return {};
    }
    return {static_cast<std::byte*>(arriving_->payload), bytes};
}

void Interface::receive() {
    pbuf* const packet = std::exchange(arriving_, nullptr);
    received_++;
    const std::span frame(static_cast<const std::byte*>(packet->payload), packet->len);
    if (is_from_loopback(frame) || netif_.input(packet, &netif_) != ERR_OK) pbuf_free(packet);
}

void Interface::set_link_up(bool up) {
    if (!started_) return;
    if (up) {
        netif_set_link_up(&netif_);
    } else {
        netif_set_link_down(&netif_);
    }
}

void Interface::describe(abi::NetworkState& state) const {
    if (started_) {
        state.address = number_of(netif_ip4_addr(&netif_));
        state.mask = number_of(netif_ip4_netmask(&netif_));
        state.gateway = number_of(netif_ip4_gw(&netif_));
        state.link_up = netif_is_link_up(&netif_) ? 1 : 0;
        std::copy(hardware_.begin(), hardware_.end(), state.hardware_address);
    }
    state.name_server = number_of(dns_getserver(0));
    state.frames_received = received_;
    state.frames_sent = sent_;
    state.frames_dropped = dropped_;
}

}  // namespace annulus::net
