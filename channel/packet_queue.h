// SPDX-License-Identifier: MIT
// Packets through shared memory without copying: buffers that are lent to the peer and come back.
//
// A direction has 2^n buffers of one size in channel memory, an active ring that carries filled
// buffers to the receiver, and a free ring that carries them back. At first the sender owns all.
//
//              acquire           send, publish          receive
//     owned ------------> filled -------------> lent ------------> held by the receiver
//       ^                                                                   |
//       +---------------- free ring <---------------------------------------+  release, publish
//
// There are as many places in each ring as buffers, so neither ring is ever full. A driver's
// receive buffers are the buffers of the direction in which it sends.
//
// Sending. Everything after acquire() is local until publish(), so a batch costs one publication:
//
//     while (there are packets) {
//         const auto buffer = sender.acquire();        // none: wait for one, see below
//         if (!buffer) break;
//         buffer->bytes.store(0, packet);              // or let a device write there
//         sender.send({.buffer = buffer->number, .offset = 0, .length = size});
//     }
//     sender.publish();
//
// Receiving. The descriptor is a checked private copy; the payload is untrusted memory that the
// sender can still change: freeze a header before looking at it, and look at the copy only.
//
//     while (const auto packet = receiver.receive()) {
//         std::array<std::byte, 64> header;
//         if (packet->bytes.freeze(0, header)) ...     // false: the packet is shorter
//         receiver.release(packet->descriptor.buffer); // may come later and in any order
//     }
//     receiver.publish();                              // hands the released buffers back
//
// Nothing to do: `if (receiver.prepare_wait() == Wait::sleep)` sleep on the doorbell, then look
// again. An end that both sends and receives (PacketPair) asks for what it needs, one or both, and
// sleeps on its one doorbell if none of them is ready. prepare_wait(k) rings only once k packets
// (or buffers) are there; use it with a deadline, or with k no larger than what surely comes.
//
// A device finds a buffer's bytes at packets_layout(geometry).buffers[direction] + number * size
// from the start of the channel's memory.
//
// Who owns which buffer is kept in private memory. A peer that sends a buffer twice, gives one
// back that it does not hold, or names one that does not exist or a range beyond it, trips
// fault(): nothing is sent or received any more, and the channel should be shut down with the
// fault as reason. Each end is used by one thread at a time; a PacketPair's two halves are
// independent.
#pragma once

#include "channel/buffers.h"
#include "channel/entry_ring.h"

#include <utility>

namespace annulus::channel {

// An entry of an active ring. `flags` and `metadata` are the users' protocol (see abi/packet.h for
// network interfaces); the rest is checked by the receiver.
struct PacketDescriptor {
    uint32_t buffer;  // its number in the direction's buffers
    uint32_t offset;  // where the packet begins in the buffer
    uint32_t length;  // in bytes; may be 0
    uint32_t flags;
    std::array<uint64_t, 2> metadata;
};
static_assert(sizeof(PacketDescriptor) == packet_entry_size && Entry<PacketDescriptor>);

// A buffer of the sender's.
struct PacketBuffer {
    uint32_t number;
    UntrustedBytes bytes;  // all of the buffer
};

// A packet that the receiver holds until it releases the buffer.
struct Packet {
    PacketDescriptor descriptor;
    UntrustedBytes bytes;  // just the packet
};

namespace packets_detail {

// The buffers of one direction.
inline std::optional<Buffers> buffers(UntrustedBytes memory, Geometry geometry,
                                      unsigned direction) {
    if (geometry.structure != Structure::packets || !geometry.valid()) return std::nullopt;
    return Buffers::attach(memory, geometry, packets_layout(geometry).buffers[direction]);
}

}  // namespace packets_detail

template <Doorbell Bell>
class PacketSender {
public:
    // The sender of one direction; nothing if the memory does not hold the geometry.
    static std::optional<PacketSender> attach(UntrustedBytes memory, Geometry geometry,
                                              unsigned direction, Bell bell) {
        const auto buffers = packets_detail::buffers(memory, geometry, direction);
        if (!buffers) return std::nullopt;
        const PacketsLayout layout = packets_layout(geometry);
        auto active = EntryProducer<PacketDescriptor>::attach(memory, layout.active_ring[direction],
                                                              layout.active_entries[direction],
                                                              geometry.slots());
        auto free = EntryConsumer<uint32_t>::attach(
            memory, layout.free_ring[direction], layout.free_entries[direction], geometry.slots());
        if (!active || !free) return std::nullopt;
        return PacketSender(*active, *free, *buffers, std::move(bell));
    }

    uint32_t buffer_count() const { return buffers_.count; }
    uint32_t buffer_size() const { return buffers_.size(); }

    // How many buffers acquire() would give without looking at shared memory.
    uint32_t owned() const { return owned_count_; }

    // A buffer to fill; nothing if all are filled or lent. It is the caller's until it sends it or
    // puts it back.
    std::optional<PacketBuffer> acquire() {
        if (latch_.tripped() || (owned_count_ == 0 && collect() == 0)) return std::nullopt;
        const uint32_t number = owned_[--owned_count_];
        filling_.insert(number);
        return PacketBuffer{number, buffers_.of(number)};
    }

    // Puts an acquired buffer back unsent.
    void put_back(uint32_t buffer) {
        take_from_filling(buffer);
        own(buffer);
    }

    // The bytes of a buffer that was acquired and not sent yet, for instance when a device has
    // filled it.
    UntrustedBytes bytes_of(uint32_t buffer) const { return buffers_.checked(buffer); }

    // Sends an acquired buffer; it is lent to the receiver from now on. Offset and length lie in
    // the buffer. Visible with the next publish().
    void send(const PacketDescriptor& packet) {
        if (!range_fits(packet.offset, packet.length, buffers_.size())) misused();
        take_from_filling(packet.buffer);
        lent_.insert(packet.buffer);
        // The receiver passes an entry before it returns the buffer, so there is a place.
        if (!active_.put(packet, latch_)) [[unlikely]]
            latch_.trip(Fault::consumer_index);
    }

    // Makes what was sent visible, and wakes a receiver that asked for it. Also tells the receiver
    // which returned buffers were taken.
    void publish() {
        free_.end.publish(bell_);
        active_.end.publish(bell_);
    }

    // Takes back what the receiver has returned. How many buffers are owned then.
    uint32_t collect() {
        uint32_t number = 0;
        while (free_.take(number, latch_)) {
            if (number >= buffers_.count) {
                latch_.trip(Fault::buffer_number);
            } else if (!lent_.contains(number)) {
                latch_.trip(Fault::buffer_not_lent);
            }
            if (latch_.tripped()) return 0;
            lent_.remove(number);
            own(number);
        }
        return latch_.tripped() ? 0 : owned_count_;
    }

    // Publishes, then asks to be woken when `wanted` buffers have come back.
    [[nodiscard]] Wait prepare_wait(uint32_t wanted = 1) {
        publish();
        return free_.end.prepare_wait(wanted, latch_, bell_);
    }

    Fault fault() const { return latch_.reason(); }

private:
    PacketSender(EntryProducer<PacketDescriptor> active, EntryConsumer<uint32_t> free,
                 Buffers buffers, Bell bell)
        : active_(active), free_(free), buffers_(buffers), bell_(std::move(bell)) {
        // The first one acquired is number 0.
        while (owned_count_ != buffers.count) own(buffers.count - 1 - owned_count_);
    }

    void own(uint32_t buffer) { owned_[owned_count_++] = static_cast<uint16_t>(buffer); }

    void take_from_filling(uint32_t buffer) {
        if (buffer >= buffers_.count || !filling_.contains(buffer)) [[unlikely]]
            misused();
        filling_.remove(buffer);
    }

    EntryProducer<PacketDescriptor> active_;
    EntryConsumer<uint32_t> free_;
    Buffers buffers_;
    FaultLatch latch_;
    [[no_unique_address]] Bell bell_;
    uint32_t owned_count_ = 0;
    std::array<uint16_t, max_buffers> owned_;  // the first owned_count_ are numbers
    NumberSet filling_;                        // acquired, not yet sent
    NumberSet lent_;                           // sent, not yet returned
};

template <Doorbell Bell>
class PacketReceiver {
public:
    // The receiver of one direction; nothing if the memory does not hold the geometry.
    static std::optional<PacketReceiver> attach(UntrustedBytes memory, Geometry geometry,
                                                unsigned direction, Bell bell) {
        const auto buffers = packets_detail::buffers(memory, geometry, direction);
        if (!buffers) return std::nullopt;
        const PacketsLayout layout = packets_layout(geometry);
        auto active = EntryConsumer<PacketDescriptor>::attach(memory, layout.active_ring[direction],
                                                              layout.active_entries[direction],
                                                              geometry.slots());
        auto free = EntryProducer<uint32_t>::attach(
            memory, layout.free_ring[direction], layout.free_entries[direction], geometry.slots());
        if (!active || !free) return std::nullopt;
        return PacketReceiver(*active, *free, *buffers, std::move(bell));
    }

    uint32_t buffer_count() const { return buffers_.count; }
    uint32_t buffer_size() const { return buffers_.size(); }

    // The next packet; nothing if there is none. Its buffer is held until release().
    std::optional<Packet> receive() {
        Packet packet;
        if (latch_.tripped() || !active_.take(packet.descriptor, latch_)) return std::nullopt;
        const PacketDescriptor& entry = packet.descriptor;
        if (entry.buffer >= buffers_.count) [[unlikely]] {
            return refuse(Fault::buffer_number);
        }
        if (held_.contains(entry.buffer)) [[unlikely]]
            return refuse(Fault::buffer_sent_twice);
        if (!range_fits(entry.offset, entry.length, buffers_.size())) [[unlikely]] {
            return refuse(Fault::buffer_range);
        }
        held_.insert(entry.buffer);
        packet.bytes = buffers_.of(entry.buffer).subspan(entry.offset, entry.length).value();
        return packet;
    }

    // Returns a held buffer to the sender, with the next publish().
    void release(uint32_t buffer) {
        if (buffer >= buffers_.count || !held_.contains(buffer)) [[unlikely]]
            misused();
        held_.remove(buffer);
        // The sender passes an entry before it sends the buffer again, so there is a place.
        if (!free_.put(buffer, latch_)) [[unlikely]]
            latch_.trip(Fault::consumer_index);
    }

    // Hands back what was released, and wakes a sender that asked for it.
    void publish() {
        active_.end.publish(bell_);
        free_.end.publish(bell_);
    }

    // Publishes, then asks to be woken when `wanted` packets are there.
    [[nodiscard]] Wait prepare_wait(uint32_t wanted = 1) {
        publish();
        return active_.end.prepare_wait(wanted, latch_, bell_);
    }

    Fault fault() const { return latch_.reason(); }

private:
    PacketReceiver(EntryConsumer<PacketDescriptor> active, EntryProducer<uint32_t> free,
                   Buffers buffers, Bell bell)
        : active_(active), free_(free), buffers_(buffers), bell_(std::move(bell)) {}

    std::nullopt_t refuse(Fault fault) {
        latch_.trip(fault);
        return std::nullopt;
    }

    EntryConsumer<PacketDescriptor> active_;
    EntryProducer<uint32_t> free_;
    Buffers buffers_;
    FaultLatch latch_;
    [[no_unique_address]] Bell bell_;
    NumberSet held_;  // received, not yet released
};

// One end of two packet queues, one each way.
template <Doorbell Bell>
struct PacketPair {
    PacketSender<Bell> sender;
    PacketReceiver<Bell> receiver;

    static std::optional<PacketPair> attach(UntrustedBytes memory, Geometry geometry, Side side,
                                            Bell bell) {
        auto sender = PacketSender<Bell>::attach(memory, geometry, sending_direction(side), bell);
        auto receiver =
            PacketReceiver<Bell>::attach(memory, geometry, receiving_direction(side), bell);
        if (!sender || !receiver) return std::nullopt;
        return PacketPair{*std::move(sender), *std::move(receiver)};
    }

    Fault fault() const {
        return sender.fault() != Fault::none ? sender.fault() : receiver.fault();
    }
};

}  // namespace annulus::channel
