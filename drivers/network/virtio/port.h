// SPDX-License-Identifier: MIT
// The client's buffers between its channel and the device's queues: no byte is copied.
//
// The device reads packets from the client's memory and writes packets there. A buffer that the
// device has is the driver's: it was acquired from the channel's sender, or received and not
// released. The memory is shared with the device (abi/pci.h) from the attachment until the device
// was reset, so it stays allocated even if the client dies.
#pragma once

#include "abi/packet.h"
#include "drivers/network/virtio/device.h"
#include "runtime/channel.h"

#include <atomic>
#include <memory>

namespace annulus::virtio {

inline constexpr uint32_t mtu = 1500;
inline constexpr uint32_t frame_max = abi::packet_header + mtu;
// A frame may have a VLAN tag more.
inline constexpr uint32_t receive_max = frame_max + 4;

// Written by the worker, read by the server: figures for reports, so relaxed.
struct Counters {
    std::atomic<uint64_t> received_packets{0};
    std::atomic<uint64_t> received_bytes{0};
    std::atomic<uint64_t> sent_packets{0};
    std::atomic<uint64_t> sent_bytes{0};
    std::atomic<uint64_t> refused_packets{0};
    std::atomic<uint64_t> interrupts{0};
    std::atomic<uint64_t> attachments{0};
};

class Port {
public:
    // Takes the client's end, unless it is refused: wrong_version: its geometry; wrong_state: its
    // memory is not contiguous; busy: somebody else waits for its bell. Others: see
    // PacketChannel::attach and abi/pci.h. Until the Port goes the bell is a member of `events`
    // under `key`.
    static Result<std::unique_ptr<Port>> create(Channel& end, PciDeviceReference pci,
                                                Counters& counters, SetReference events,
                                                uint64_t key);
    // The device was reset.
    ~Port();
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    // Moves some packets and buffers each way. False: there was nothing to do.
    bool move(Device& device);

    // Asks both sides to say when there is something to do. True: nothing is there now, sleep.
    bool prepare_wait(Device& device);

    // True if the client broke its rules (it is told), or is gone. The second enters the kernel.
    bool check_fault() { return !channel_.check().ok(); }
    bool ended() const { return !channel_.end().state().ok(); }
    void shut_down(uint32_t reason) const { channel_.end().shut_down(reason); }

    Port(PacketChannel channel, PciDeviceReference pci, const PciShared& shared, Counters& counters,
         SetReference events);

private:
    bool take_received(SplitQueue& queue);
    bool offer_buffers(Device& device);
    bool take_sent(SplitQueue& queue);
    bool send(Device& device);

    PacketChannel channel_;
    PciDeviceReference pci_;
    PciShared shared_;
    uint64_t receive_base_;   // physical address of the buffers that the device fills
    uint64_t transmit_base_;  // and of those that it sends
    Counters& counters_;
    SetReference events_;
};

}  // namespace annulus::virtio
