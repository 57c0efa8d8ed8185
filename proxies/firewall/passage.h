// SPDX-License-Identifier: MIT
// The way of packets through the firewall: a client's channel, a channel to the interface behind,
// and the filter between them.
//
// What passes is copied: the headers into private memory, where they are judged, and from there to
// the other side, so nobody can change what was judged; the payload straight across. A packet for
// which the other side has no buffer stays where it is.
#pragma once

#include "proxies/firewall/filter.h"
#include "runtime/channel.h"
#include "runtime/packet_interface.h"

#include <array>
#include <atomic>
#include <memory>
#include <optional>

namespace annulus::firewall {

// What passed, by direction. Relaxed: written by the worker, read by the server, for reports.
struct Traffic {
    std::array<std::atomic<uint64_t>, 2> packets{};
    std::array<std::atomic<uint64_t>, 2> bytes{};
    std::atomic<uint64_t> dropped{0};
};

class Passage {
public:
    // The set whose members both bells are while the passage lives, and their keys.
    struct Events {
        SetReference set;
        uint64_t client;
        uint64_t behind;
    };

    // Takes the client's end. busy: somebody else waits for its bell. Others: abi/packet.h.
    static Result<std::unique_ptr<Passage>> create(Channel& end, Traffic& traffic,
                                                   const Events& events);

    // Lets go of the interface behind, if there is one, and attaches to `behind` with a new
    // channel, which this program pays for. Before anything else, and again when behind_ended():
    // the frames that the old one had are lost, as on a wire; the client's others wait. busy:
    // another client is attached. Others: abi/packet.h.
    Result<void> attach(PacketInterface behind);
    void let_go_of_behind();
    [[nodiscard]] bool attached() const { return behind_.has_value(); }
    ~Passage();
    Passage(const Passage&) = delete;
    Passage& operator=(const Passage&) = delete;

    // Moves some packets each way, as far as `filter` lets them. False: there was nothing to do.
    bool move(Filter& filter);

    // Asks both sides to say when there is something to do. True: nothing is there now, sleep.
    bool prepare_wait();

    // True if that side broke its rules (it is told), or is gone. Enters the kernel.
    bool client_ended() { return ended(client_); }
    bool behind_ended() { return ended(behind_->packets); }
    void shut_down(uint32_t reason) const { client_.end().shut_down(reason); }

    Passage(PacketChannel client, Traffic& traffic, const Events& events)
        : client_(std::move(client)), traffic_(traffic), events_(events) {}

private:
    struct Behind {
        PacketChannel packets;
        Served attachment;  // its close detaches
    };

    static bool ended(PacketChannel& side) {
        return !side.check().ok() || !side.end().state().ok();
    }
    bool forward(Filter& filter, Direction direction, PacketChannel& from, PacketChannel& to);
    bool copy(Filter& filter, Direction direction, const channel::Packet& packet,
              UntrustedBytes into, uint64_t time);

    PacketChannel client_;
    std::optional<Behind> behind_;
    Traffic& traffic_;
    Events events_;
};

}  // namespace annulus::firewall
