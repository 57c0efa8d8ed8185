// SPDX-License-Identifier: MIT
// The client's buffers between its channel and the device's queues.
#include "drivers/network/virtio/port.h"

#include <algorithm>
#include <new>

namespace annulus::virtio {

namespace {

// Packets moved each way before the other way has its turn.
constexpr unsigned batch = 64;

void count(std::atomic<uint64_t>& counter, uint64_t amount) {
    counter.fetch_add(amount, std::memory_order_relaxed);
}

}  // namespace

Result<std::unique_ptr<Port>> Port::create(Channel& end, PciDeviceReference pci, Counters& counters,
                                           SetReference events, uint64_t key) {
    const auto geometry = TRY(PacketChannel::geometry_of(end));
    if (geometry.size() < abi::packet_buffer_min) return Error::wrong_version;
    // It holds exactly the channel's part, and the device may reach nothing else.
    const Memory memory = TRY(end.get_memory());
    const PciShared shared = TRY(pci.share_memory(memory));
    auto attached = PacketChannel::attach(end);
    if (!attached.ok()) {
        static_cast<void>(pci.remove_memory(shared.key));
        return attached.status();
    }
    std::unique_ptr<Port> port(new (std::nothrow)
                                   Port(std::move(*attached), pci, shared, counters, events));
    if (port == nullptr) {
        static_cast<void>(pci.remove_memory(shared.key));
        return Error::no_memory;
    }
    TRY(events.create_member(port->channel_.end().end(), key, 0));
    return port;
}

Port::Port(PacketChannel channel, PciDeviceReference pci, const PciShared& shared,
           Counters& counters, SetReference events)
    : channel_(std::move(channel)),
      pci_(pci),
      shared_(shared),
      counters_(counters),
      events_(events) {
    const auto layout = channel::packets_layout(channel_.end().geometry());
    // The client made the channel or was handed it; the driver is the other side.
    const bool second = channel_.end().side() == channel::Side::second;
    receive_base_ = shared.address + layout.buffers[second ? 1 : 0];
    transmit_base_ = shared.address + layout.buffers[second ? 0 : 1];
}

Port::~Port() {
    static_cast<void>(events_.remove_member(channel_.end().end()));
    static_cast<void>(pci_.remove_memory(shared_.key));
}

bool Port::take_received(SplitQueue& queue) {
    auto& sender = channel_.sender();
    unsigned packets = 0;
    uint64_t bytes = 0;
    for (; packets < batch; ++packets) {
        const auto done = queue.take();
        if (!done) break;
        sender.send({.buffer = done->token,
                     .offset = 0,
                     .length = done->length,
                     .flags = 0,
                     .metadata = {}});
        bytes += done->length;
    }
    if (packets == 0) return false;
    // Before the client sees them.
    count(counters_.received_packets, packets);
    count(counters_.received_bytes, bytes);
    sender.publish();
    return true;
}

bool Port::offer_buffers(Device& device) {
    SplitQueue& queue = device.queue(receive_queue);
    auto& sender = channel_.sender();
    bool any = false;
    while (queue.free_slots() != 0) {
        const auto buffer = sender.acquire();
        if (!buffer) break;
        const uint64_t offset = buffer->number * channel_.end().geometry().size();
        queue.add(buffer->number, receive_base_ + offset, receive_max);
        any = true;
    }
    if (queue.publish()) device.notify(receive_queue);
    return any;
}

bool Port::take_sent(SplitQueue& queue) {
    auto& receiver = channel_.receiver();
    bool any = false;
    for (unsigned i = 0; i < batch; ++i) {
        const auto done = queue.take();
        if (!done) break;
        receiver.release(done->token);
        any = true;
    }
    if (any) receiver.publish();
    return any;
}

bool Port::send(Device& device) {
    SplitQueue& queue = device.queue(transmit_queue);
    auto& receiver = channel_.receiver();
    bool any = false;
    uint64_t packets = 0;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < batch && queue.free_slots() != 0; ++i) {
        const auto packet = receiver.receive();
        if (!packet) break;
        any = true;
        const channel::PacketDescriptor& what = packet->descriptor;
        if (what.length < abi::packet_header || what.length > frame_max) {
            receiver.release(what.buffer);
            count(counters_.refused_packets, 1);
            continue;
        }
        // Checked by the receiver: the buffer exists, and offset and length lie in it.
        const uint64_t offset = what.buffer * channel_.end().geometry().size() + what.offset;
        queue.add(what.buffer, transmit_base_ + offset, what.length);
        ++packets;
        bytes += what.length;
    }
    count(counters_.sent_packets, packets);
    count(counters_.sent_bytes, bytes);
    if (queue.publish()) device.notify(transmit_queue);
    if (any) receiver.publish();
    return any;
}

bool Port::move(Device& device) {
    bool any = take_received(device.queue(receive_queue));
    any = offer_buffers(device) || any;
    any = take_sent(device.queue(transmit_queue)) || any;
    return send(device) || any;
}

bool Port::prepare_wait(Device& device) {
    SplitQueue& received = device.queue(receive_queue);
    SplitQueue& sent = device.queue(transmit_queue);
    bool sleep = received.prepare_wait();
    // Buffers that were sent are taken back with the next work. Only when the client could run out
    // of them is an interrupt worth its price.
    const uint32_t in_flight = sent.in_flight();
    const uint32_t most = std::min(sent.slots(), channel_.receiver().buffer_count());
    if (in_flight * 2 <= most) {
        sent.prepare_no_wake();
    } else {
        sleep = sent.prepare_wait(in_flight / 2) && sleep;
    }
    // Where there is no room the client's side changes nothing.
    if (sent.free_slots() != 0) {
        sleep = channel_.receiver().prepare_wait() == channel::Wait::sleep && sleep;
    }
    if (received.free_slots() != 0) {
        sleep = channel_.sender().prepare_wait() == channel::Wait::sleep && sleep;
    }
    return sleep;
}

}  // namespace annulus::virtio
