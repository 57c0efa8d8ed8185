// SPDX-License-Identifier: MIT
// Requests with a buffer each, and their answers in any order: for files and disks.
//
// One end asks, the other answers. There are 2^n slots; each has a buffer in channel memory. What
// is written lies in the buffer when the request is sent, and what was read when it is answered.
//
//              acquire            send, publish               next
//      free ------------> mine ------------------> asked ------------> held by who answers
//       ^                 |  ^                                                 |
//       +-----------------+  +------------- answer ring <----------------------+  answer, publish
//             release
//
// There are as many places in each ring as slots, so neither ring is ever full. Asking; everything
// is local until publish(), so a batch costs one publication:
//
//     while (const auto slot = asker.acquire()) {
//         asker.send({.slot = *slot, .operation = read, .place = offset, .length = 4096});
//     }
//     asker.publish();
//     while (const auto answer = asker.take()) {       // none: prepare_wait(), sleep, look again
//         asker.bytes_of(answer->slot) ...             // untrusted memory: freeze it
//         asker.release(answer->slot);                 // or send it again
//     }
//
// Answering. The request is a checked private copy; its buffer can change at any time.
//
//     while (const auto request = answerer.next()) {
//         ... answerer.bytes_of(request->slot) ...
//         answerer.answer({.slot = request->slot, .count = count, .status = 0});  // or later
//     }
//     answerer.publish();
//
// Who has which slot is kept in private memory. A peer that asks for a slot twice, answers one that
// was not asked, or names one that does not exist or more bytes than its buffer has, trips fault():
// nothing is sent or received any more, and the channel should be shut down with the fault as
// reason. Each end is used by one thread at a time. Which side of the channel asks is its users'
// protocol.
#pragma once

#include "channel/buffers.h"
#include "channel/entry_ring.h"

#include <utility>

namespace annulus::channel {

// An entry of the request ring. Slot and length are checked by who answers; the rest is the users'
// protocol (see abi/file.h for files).
struct QueuedRequest {
    uint32_t slot;
    uint32_t operation;
    uint64_t place;   // in the file, on the disk
    uint32_t length;  // bytes of the buffer, from its begin
    uint32_t flags;
    uint64_t word;
};
static_assert(sizeof(QueuedRequest) == request_entry_size && Entry<QueuedRequest>);

// An entry of the answer ring. Slot and count are checked by who asked.
struct QueuedAnswer {
    uint32_t slot;
    uint32_t count;  // bytes that were read or written
    uint64_t status;
};
static_assert(sizeof(QueuedAnswer) == answer_entry_size && Entry<QueuedAnswer>);

template <Doorbell Bell>
class RequestAsker {
public:
    // The end that asks; nothing if the memory does not hold the geometry. Either side can ask.
    static std::optional<RequestAsker> attach(UntrustedBytes memory, Geometry geometry, Side,
                                              Bell bell) {
        if (geometry.structure != Structure::requests || !geometry.valid()) return std::nullopt;
        const RequestsLayout at = requests_layout(geometry);
        const auto buffers = Buffers::attach(memory, geometry, at.buffers);
        auto requests = EntryProducer<QueuedRequest>::attach(memory, at.request_ring,
                                                             at.request_entries, geometry.slots());
        auto answers = EntryConsumer<QueuedAnswer>::attach(memory, at.answer_ring,
                                                           at.answer_entries, geometry.slots());
        if (!buffers || !requests || !answers) return std::nullopt;
        return RequestAsker(*requests, *answers, *buffers, std::move(bell));
    }

    uint32_t slot_count() const { return buffers_.count; }
    uint32_t buffer_size() const { return buffers_.size(); }

    // How many slots acquire() would give.
    uint32_t free_slots() const { return free_count_; }

    // A slot for a request; nothing if none is free. It is the caller's until it sends or releases
    // it, and again from its answer on.
    std::optional<uint32_t> acquire() {
        if (free_count_ == 0 || latch_.tripped()) return std::nullopt;
        const uint32_t slot = free_[--free_count_];
        mine_.insert(slot);
        return slot;
    }

    // All of the buffer of a slot. Whoever answers can change it at any time.
    UntrustedBytes bytes_of(uint32_t slot) const { return buffers_.checked(slot); }

    // Sends a request with a slot that is the caller's. Visible with the next publish().
    void send(const QueuedRequest& request) {
        if (request.length > buffers_.size()) [[unlikely]]
            misused();
        take_from_mine(request.slot);
        asked_.insert(request.slot);
        // Who answers passes an entry before its answer, so there is a place.
        if (!requests_.put(request, latch_)) [[unlikely]]
            latch_.trip(Fault::consumer_index);
    }

    // Makes what was sent visible, and wakes who answers if it asked for that.
    void publish() {
        answers_.end.publish(bell_);
        requests_.end.publish(bell_);
    }

    // The next answer; nothing if there is none. Its slot is the caller's again.
    std::optional<QueuedAnswer> take() {
        QueuedAnswer answer;
        if (latch_.tripped() || !answers_.take(answer, latch_)) return std::nullopt;
        if (answer.slot >= buffers_.count) [[unlikely]]
            return refuse(Fault::buffer_number);
        if (!asked_.contains(answer.slot)) [[unlikely]]
            return refuse(Fault::buffer_not_lent);
        if (answer.count > buffers_.size()) [[unlikely]]
            return refuse(Fault::buffer_range);
        asked_.remove(answer.slot);
        mine_.insert(answer.slot);
        return answer;
    }

    // A slot of the caller's is free again.
    void release(uint32_t slot) {
        take_from_mine(slot);
        free_[free_count_++] = static_cast<uint16_t>(slot);
    }

    // Publishes, then asks to be woken when `wanted` answers are there.
    [[nodiscard]] Wait prepare_wait(uint32_t wanted = 1) {
        publish();
        return answers_.end.prepare_wait(wanted, latch_, bell_);
    }

    Fault fault() const { return latch_.reason(); }

private:
    RequestAsker(EntryProducer<QueuedRequest> requests, EntryConsumer<QueuedAnswer> answers,
                 Buffers buffers, Bell bell)
        : requests_(requests), answers_(answers), buffers_(buffers), bell_(std::move(bell)) {
        // The first one acquired is number 0.
        while (free_count_ != buffers.count) {
            free_[free_count_] = static_cast<uint16_t>(buffers.count - 1 - free_count_);
            ++free_count_;
        }
    }

    std::nullopt_t refuse(Fault fault) {
        latch_.trip(fault);
        return std::nullopt;
    }

    void take_from_mine(uint32_t slot) {
        if (slot >= buffers_.count || !mine_.contains(slot)) [[unlikely]]
            misused();
        mine_.remove(slot);
    }

    EntryProducer<QueuedRequest> requests_;
    EntryConsumer<QueuedAnswer> answers_;
    Buffers buffers_;
    FaultLatch latch_;
    [[no_unique_address]] Bell bell_;
    uint32_t free_count_ = 0;
    std::array<uint16_t, max_buffers> free_;  // the first free_count_ are numbers
    NumberSet mine_;                          // acquired or answered: the caller's
    NumberSet asked_;                         // sent, not yet answered
};

template <Doorbell Bell>
class RequestAnswerer {
public:
    // The end that answers; nothing if the memory does not hold the geometry.
    static std::optional<RequestAnswerer> attach(UntrustedBytes memory, Geometry geometry, Side,
                                                 Bell bell) {
        if (geometry.structure != Structure::requests || !geometry.valid()) return std::nullopt;
        const RequestsLayout at = requests_layout(geometry);
        const auto buffers = Buffers::attach(memory, geometry, at.buffers);
        auto requests = EntryConsumer<QueuedRequest>::attach(memory, at.request_ring,
                                                             at.request_entries, geometry.slots());
        auto answers = EntryProducer<QueuedAnswer>::attach(memory, at.answer_ring,
                                                           at.answer_entries, geometry.slots());
        if (!buffers || !requests || !answers) return std::nullopt;
        return RequestAnswerer(*requests, *answers, *buffers, std::move(bell));
    }

    uint32_t slot_count() const { return buffers_.count; }
    uint32_t buffer_size() const { return buffers_.size(); }

    // A private copy of the next request; nothing if there is none. It is held until answer().
    std::optional<QueuedRequest> next() {
        QueuedRequest request;
        if (latch_.tripped() || !requests_.take(request, latch_)) return std::nullopt;
        if (request.slot >= buffers_.count) [[unlikely]]
            return refuse(Fault::buffer_number);
        if (held_.contains(request.slot)) [[unlikely]]
            return refuse(Fault::buffer_sent_twice);
        if (request.length > buffers_.size()) [[unlikely]]
            return refuse(Fault::buffer_range);
        held_.insert(request.slot);
        return request;
    }

    // All of the buffer of a slot. Whoever asked can change it at any time.
    UntrustedBytes bytes_of(uint32_t slot) const { return buffers_.checked(slot); }

    // Answers a held request. Visible with the next publish().
    void answer(const QueuedAnswer& answer) {
        if (answer.slot >= buffers_.count || !held_.contains(answer.slot) ||
            answer.count > buffers_.size()) [[unlikely]]
            misused();
        held_.remove(answer.slot);
        // Who asked passes an entry before it asks with the slot again, so there is a place.
        if (!answers_.put(answer, latch_)) [[unlikely]]
            latch_.trip(Fault::consumer_index);
    }

    // Makes answers visible, and wakes who asked if it waits for them.
    void publish() {
        requests_.end.publish(bell_);
        answers_.end.publish(bell_);
    }

    // Publishes, then asks to be woken when `wanted` requests are there.
    [[nodiscard]] Wait prepare_wait(uint32_t wanted = 1) {
        publish();
        return requests_.end.prepare_wait(wanted, latch_, bell_);
    }

    Fault fault() const { return latch_.reason(); }

private:
    RequestAnswerer(EntryConsumer<QueuedRequest> requests, EntryProducer<QueuedAnswer> answers,
                    Buffers buffers, Bell bell)
        : requests_(requests), answers_(answers), buffers_(buffers), bell_(std::move(bell)) {}

    std::nullopt_t refuse(Fault fault) {
        latch_.trip(fault);
        return std::nullopt;
    }

    EntryConsumer<QueuedRequest> requests_;
    EntryProducer<QueuedAnswer> answers_;
    Buffers buffers_;
    FaultLatch latch_;
    [[no_unique_address]] Bell bell_;
    NumberSet held_;  // taken, not yet answered
};

}  // namespace annulus::channel
