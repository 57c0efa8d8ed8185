// SPDX-License-Identifier: MIT
// The network interface: Ethernet frames in and out, an address from DHCP or fixed. Policy-free.
#pragma once

#include <optional>

#include <lwip/netif.h>

#include "abi/net.h"
#include "services/net/stack/packet_link.h"

namespace annulus::net {

// A fixed address; all as numbers, 0 for none.
struct FixedAddress {
    uint32_t address = 0;
    uint32_t mask = 0;
    uint32_t gateway = 0;
    uint32_t name_server = 0;
};

class Interface {
public:
    // Brings the interface up over `link`, which outlives it. Without a fixed address DHCP asks for
    // one and keeps asking. Once.
    void start(PacketLink& link, const HardwareAddress& hardware, size_t mtu, bool link_up,
               const std::optional<FixedAddress>& fixed);
    [[nodiscard]] bool started() const { return started_; }

    // The link is gone, or there is a new one, for the same hardware address, which outlives this
    // too. Without one every frame is dropped, and TCP repeats what was lost.
    void unlink();
    void relink(PacketLink& link, bool link_up);

    // Room for the copy of a frame that arrived; empty: it is dropped. The frame's own bytes may be
    // anybody's and may change: only the copy is looked at, by receive().
    std::span<std::byte> receive_space(size_t bytes);
    void receive();

    void set_link_up(bool up);

    // Whether a frame found no room since the last look; then send_waiting() is wanted when there
    // is some again.
    [[nodiscard]] bool lacks_room() const { return lacks_room_; }
    void send_waiting();

    // All but `connections`.
    void describe(abi::NetworkState& state) const;

private:
    static err_t prepare(netif* interface);
    static err_t transmit(netif* interface, pbuf* packet);
    bool send(pbuf& packet);

    bool started_ = false;
    PacketLink* link_ = nullptr;
    HardwareAddress hardware_{};
    size_t mtu_ = 0;
    uint64_t received_ = 0;
    uint64_t sent_ = 0;
    uint64_t dropped_ = 0;
    bool lacks_room_ = false;
    pbuf* arriving_ = nullptr;  // between receive_space() and receive()
    netif netif_{};
};

}  // namespace annulus::net
