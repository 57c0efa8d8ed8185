// SPDX-License-Identifier: MIT
// The packet queues to a network driver (abi/packet.h), as the stack's link.
#pragma once

#include <memory>

#include "runtime/channel.h"
#include "runtime/packet_interface.h"
#include "services/net/stack/interface.h"

namespace annulus::net {

class DriverLink final : public PacketLink {
public:
    // Makes a channel and hands the driver its other end. Tries until `deadline` while the driver
    // still has an earlier client. Until the link goes its bell is a member of `events` under
    // `key`.
    static Result<std::unique_ptr<DriverLink>> attach(PacketInterface driver, Deadline deadline,
                                                      SetReference events, uint64_t key);
    ~DriverLink();
    DriverLink(const DriverLink&) = delete;
    DriverLink& operator=(const DriverLink&) = delete;

    DriverLink(SetReference events, PacketChannel packets, Served attachment,
               const abi::PacketInterfaceInfo& info)
        : events_(events),
          packets_(std::move(packets)),
          attachment_(std::move(attachment)),
          info_(info) {}

    bool send(std::span<const FramePart> parts) override;

    // Hands frames that arrived to `interface`, at most 64. True: there may be more.
    bool receive(Interface& interface);

    // Makes visible what was sent, and gives room to what waited for it.
    void publish(Interface& interface);

    // Asks to be woken by end() for frames, and for room if `interface` lacks some.
    [[nodiscard]] channel::Wait prepare_wait(const Interface& interface);

    // closed once the driver is gone, faulted if it broke the queues' rules.
    Result<void> check();

    [[nodiscard]] HardwareAddress hardware_address() const;
    [[nodiscard]] size_t mtu() const { return info_.mtu; }
    [[nodiscard]] bool link_up() const { return info_.link != 0; }

private:
    SetReference events_;
    PacketChannel packets_;
    Served attachment_;
    abi::PacketInterfaceInfo info_;
};

}  // namespace annulus::net
