// SPDX-License-Identifier: MIT
// Queues of 64-byte messages: the cheapest way to pass small things, with order and boundaries.
//
//     sender.send(message)  ...  sender.publish()       once for a batch
//     receiver.receive(message)  ...  receiver.publish()
//
// send() answers false when the queue is full and receive() when it is empty; with several messages
// at once, which is cheaper for each, they answer how many there was room for, or there were. Then
// prepare_wait(k), sleep on the doorbell, and try again, as in channel/byte_stream.h. Each end is
// used by one thread at a time.
#pragma once

#include "channel/entry_ring.h"

#include <utility>

namespace annulus::channel {

// What a message holds is the users' protocol. Eight words, copied once.
struct Message {
    std::array<uint64_t, 8> words;
};
static_assert(sizeof(Message) == message_size && Entry<Message>);

template <Doorbell Bell>
class MessageSender {
public:
    static std::optional<MessageSender> attach(UntrustedBytes memory, Geometry geometry,
                                               unsigned direction, Bell bell) {
        if (geometry.structure != Structure::messages || !geometry.valid()) return std::nullopt;
        const MessagesLayout layout = messages_layout(geometry);
        auto ring = EntryProducer<Message>::attach(memory, layout.ring[direction],
                                                   layout.entries[direction], geometry.slots());
        if (!ring) return std::nullopt;
        return MessageSender(*ring, std::move(bell));
    }

    uint32_t capacity() const { return ring_.end.capacity(); }

    // False if the queue is full.
    [[nodiscard, gnu::always_inline]] bool send(const Message& message) {
        return ring_.put(message, latch_);
    }

    // As many of the messages as there is room for, in order: how many.
    [[nodiscard]] uint32_t send(std::span<const Message> messages) {
        return ring_.put(messages, latch_);
    }

    // Makes what was sent visible, and wakes a receiver that asked for it.
    [[gnu::always_inline]] void publish() { ring_.end.publish(bell_); }

    [[nodiscard]] Wait prepare_wait(uint32_t wanted = 1) {
        return ring_.end.prepare_wait(wanted, latch_, bell_);
    }

    Fault fault() const { return latch_.reason(); }

private:
    MessageSender(EntryProducer<Message> ring, Bell bell) : ring_(ring), bell_(std::move(bell)) {}

    EntryProducer<Message> ring_;
    FaultLatch latch_;
    [[no_unique_address]] Bell bell_;
};

template <Doorbell Bell>
class MessageReceiver {
public:
    static std::optional<MessageReceiver> attach(UntrustedBytes memory, Geometry geometry,
                                                 unsigned direction, Bell bell) {
        if (geometry.structure != Structure::messages || !geometry.valid()) return std::nullopt;
        const MessagesLayout layout = messages_layout(geometry);
        auto ring = EntryConsumer<Message>::attach(memory, layout.ring[direction],
                                                   layout.entries[direction], geometry.slots());
        if (!ring) return std::nullopt;
        return MessageReceiver(*ring, std::move(bell));
    }

    uint32_t capacity() const { return ring_.end.capacity(); }

    // A private copy of the next message. False if there is none.
    [[nodiscard, gnu::always_inline]] bool receive(Message& message) {
        return ring_.take(message, latch_);
    }

    // Private copies of as many messages as there are and fit, in order: how many.
    [[nodiscard]] uint32_t receive(std::span<Message> messages) {
        return ring_.take(messages, latch_);
    }

    // Gives the places of what was received back, and wakes a sender that asked for it.
    [[gnu::always_inline]] void publish() { ring_.end.publish(bell_); }

    [[nodiscard]] Wait prepare_wait(uint32_t wanted = 1) {
        return ring_.end.prepare_wait(wanted, latch_, bell_);
    }

    Fault fault() const { return latch_.reason(); }

private:
    MessageReceiver(EntryConsumer<Message> ring, Bell bell) : ring_(ring), bell_(std::move(bell)) {}

    EntryConsumer<Message> ring_;
    FaultLatch latch_;
    [[no_unique_address]] Bell bell_;
};

// One end of two queues, one each way.
template <Doorbell Bell>
struct MessagePair {
    MessageSender<Bell> sender;
    MessageReceiver<Bell> receiver;

    static std::optional<MessagePair> attach(UntrustedBytes memory, Geometry geometry, Side side,
                                             Bell bell) {
        auto sender = MessageSender<Bell>::attach(memory, geometry, sending_direction(side), bell);
        auto receiver =
            MessageReceiver<Bell>::attach(memory, geometry, receiving_direction(side), bell);
        if (!sender || !receiver) return std::nullopt;
        return MessagePair{*std::move(sender), *std::move(receiver)};
    }

    Fault fault() const {
        return sender.fault() != Fault::none ? sender.fault() : receiver.fault();
    }
};

}  // namespace annulus::channel
