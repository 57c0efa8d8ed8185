// SPDX-License-Identifier: MIT
// A client of a network interface that speaks just enough: address resolution requests (RFC 826) to
// the gateway of QEMU's network, and their answers.
#pragma once

#include "runtime/channel.h"
#include "runtime/packet_interface.h"

#include <array>

namespace annulus::test {

struct Frame {
    std::array<std::byte, 1600> bytes{};
    size_t size = 0;
};

// Asks who has 10.0.2.2. Padded to the shortest frame.
Frame resolution_request(const std::array<uint8_t, 6>& address);
// Whether the frame is the gateway's answer.
bool is_resolution_answer(const Frame& frame);
// A DHCP discover (RFC 2131), and whether a frame is an offer.
Frame discover(const std::array<uint8_t, 6>& address);
bool is_offer(const Frame& frame);

// A channel that a device can reach.
Result<PacketChannel::Made> device_channel(channel::Geometry geometry);

// A client that breaks the queue's rules: the index of the ring that the server receives from
// jumps. The reason with which the server shuts the channel down; it has until `deadline`.
Result<uint64_t> reason_after_jump(PacketInterface interface, Deadline deadline);

class Client {
public:
    static Result<Client> attach(PacketInterface interface,
                                 channel::Geometry geometry = channel::packets_geometry(7, 11));

    PacketChannel& channel() { return channel_; }
    const std::array<uint8_t, 6>& address() const { return address_; }
    void detach() { attachment_.close(); }

    // Copies a frame into a buffer and sends it. False: all buffers are under way.
    bool send(const Frame& frame);
    // Takes a frame, without waiting. False: there is none.
    bool take(Frame& frame);
    // Waits for one. closed: the channel ended.
    Result<void> receive(Frame& frame, Deadline deadline);
    // Sends the frame and waits for one that `wanted` accepts.
    Result<void> ask(const Frame& frame, bool (*wanted)(const Frame&), Deadline deadline);

private:
    Client(PacketChannel channel, Served attachment)
        : channel_(std::move(channel)), attachment_(std::move(attachment)) {}

    PacketChannel channel_;
    Served attachment_;
    std::array<uint8_t, 6> address_{};
};

}  // namespace annulus::test
