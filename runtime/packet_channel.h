// SPDX-License-Identifier: MIT
// One end of a channel with packet queues (channel/packet_queue.h): its memory mapped, its bell.
//
//   auto made = TRY(PacketChannel::create(channel::packets_geometry(7, 11)));
//   // `made.peer` goes to whoever is to have the other end
//   while (const auto packet = made.own->packets().receiver.receive()) ...
//   if (made.own->prepare_wait() == channel::Wait::sleep) wait for made.own->end(); look again
#pragma once

#include "base/result.h"
#include "channel/packet_queue.h"
#include "generated/objects.h"
#include "runtime/system_call.h"

#include <memory>

namespace annulus {

// Rings the peer. A peer that is gone is noticed by whoever waits, so errors do not matter here.
struct PeerBell {
    abi::Handle end;
    void ring() const { static_cast<void>(system::signal(end)); }
};

using Packets = channel::PacketPair<PeerBell>;

class PacketChannel {
public:
    struct Made;
    // A new channel over contiguous memory, so that devices reach it, paid by this program; this is
    // its first side. Needs the handles `budget` and `process`. wrong_version: the geometry;
    // no_memory, no_budget.
    static Result<Made> create(channel::Geometry geometry);

    // The end that a peer handed over. wrong_version: it is no channel with packet queues.
    static Result<std::unique_ptr<PacketChannel>> attach(Channel end);

    PacketChannel(Channel end, channel::Geometry geometry, channel::Side side, uint64_t address,
                  const Packets& packets)
        : end_(std::move(end)),
          geometry_(geometry),
          side_(side),
          address_(address),
          packets_(packets) {}
    PacketChannel(const PacketChannel&) = delete;
    PacketChannel& operator=(const PacketChannel&) = delete;
    ~PacketChannel();

    Packets& packets() { return packets_; }
    channel::Geometry geometry() const { return geometry_; }
    channel::Side side() const { return side_; }
    // To wait on, beside other things (wait_any).
    ChannelReference end() const { return end_; }

    // True once the peer is gone or the channel was shut down: then it will not work again. Enters
    // the kernel; to be asked after a wake-up that brought nothing.
    bool ended() const;

    // Asks to be woken when there is a packet. Sleep: nothing is there.
    [[nodiscard]] channel::Wait prepare_wait() { return packets_.receiver.prepare_wait(); }

    // Shuts the channel down if the peer broke its rules. True: it did.
    bool check_fault();

private:
    static Result<std::unique_ptr<PacketChannel>> map(Channel end, channel::Geometry geometry,
                                                      channel::Side side);

    Channel end_;
    channel::Geometry geometry_;
    channel::Side side_;
    uint64_t address_;
    Packets packets_;
};

struct PacketChannel::Made {
    std::unique_ptr<PacketChannel> own;
    Channel peer;
};

}  // namespace annulus
