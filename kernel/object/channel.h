// SPDX-License-Identifier: MIT
// Channel: memory that two processes share, and a bell for each of them. The kernel never touches
// the data.
//
//   one record:  Channel: pinned memory, geometry, fault | ChannelEnd 0 | ChannelEnd 1
//                                                          ^              ^
//                                                       handles        handles
//
// An end *is* a binary semaphore, its own bell, whose word lies in the kernel; signalling an end
// rings the other one's (Semaphore::bell_). So whatever waits for a semaphore (wait, wait_any,
// sets) takes an end, and the fast paths of semaphores serve it. Lifetime: an end has references
// like every object, and as long as it lives one to the channel; the budget knows the channel only
// (ObjectKind::whole). When one end has gone, the other and what they share stay as they are until
// it goes, too. A fault, too, takes the bells away, so that whoever finds one need not look at the
// channel.
#pragma once

#include "kernel/memory/memory_object.h"
#include "kernel/object/semaphore.h"
#include "kernel/schedule/reaper.h"

namespace annulus::kernel {

class Channel;

// One end: part of a channel.
class ChannelEnd final : public Semaphore {
public:
    ChannelEnd(Channel& channel, unsigned number)
        : Semaphore(kind_table, sizeof(ChannelEnd)), channel_(channel), number_(number) {}

    // The bell that signalling this end rings. closed: nobody holds the other end any more;
    // faulted.
    Result<Semaphore*> peer_bell() const;
    Channel& channel() const { return channel_; }
    unsigned number() const { return number_; }
    bool peer_closed() const { return peer_closed_.load(std::memory_order_acquire); }

    // Faults the channel and rings both bells. The first reason counts.
    void shut_down(uint32_t reason);

    static const ObjectKind kind_table;

private:
    friend struct ChannelParts;

    Channel& channel_;  // holds a reference while this has one
    unsigned number_;
    std::atomic<bool> peer_closed_{false};
};

// What the ends share, and themselves. It has no handle of its own.
class Channel final : public Object {
public:
    struct Geometry {
        uint64_t offset;  // of the memory object, in bytes, until the channel has its range
        uint64_t length;  // in bytes
        uint32_t structure;
        uint32_t version;
    };
    // bad_argument (details are those of budget.create.channel), out_of_range, may_fault,
    // no_budget. All pins are paid, but the memory is not pinned yet, and nobody has an end.
    static Result<Ref<Channel>> create(Budget& budget, MemoryObject& memory,
                                       const Geometry& geometry);

    // Commits and pins up to abi::chunk_items pages more; true when all are. Its maker only.
    Result<bool> pin_some();

    struct Ends {
        Ref<ChannelEnd> first, second;
    };
    // Both ends of a channel whose memory is pinned, once, for the maker's reference.
    static Ends hand_out(Ref<Channel> channel);

    const Geometry& geometry() const { return geometry_; }
    uint64_t id() const { return id_; }
    // A reference to exactly the channel's memory. closed: it ended.
    Result<Ref<MemoryObject>> memory();

    // False: it was faulted before.
    bool fault(uint32_t reason);
    // ok, or faulted with the reason as extra.
    Status state() const;
    ChannelEnd& peer_of(const ChannelEnd& end) { return ends_[1 - end.number()]; }

    // A record; create() makes it a channel.
    Channel();
    static const ObjectKind kind_table;
    static constexpr StockKind stock_kind = StockKind::channel;

private:
    friend struct ChannelParts;

    uint64_t pages() const { return geometry_.length / abi::page_size; }
    void begin(Budget& payer, const Geometry& geometry);

    Geometry geometry_{};
    uint64_t id_ = 0;
    MemoryObject* memory_ = nullptr;  // holds a reference until it is detached
    uint64_t pinned_ = 0;             // pages, from the first on
    std::atomic<uint64_t> fault_{0};  // the Status that state() answers
    Work unpin_work_;
    ChannelEnd ends_[2] = {{*this, 0}, {*this, 1}};
};

inline Result<bool> Channel::pin_some() {
    const uint64_t left = pages() - pinned_;
    const uint64_t count = chunk_of(left);
    const Status status = memory_->pin_paid(pinned_, count);
    if (!status.ok()) return status;
    pinned_ += count;
    return count == left;
}

inline Channel::Ends Channel::hand_out(Ref<Channel> channel) {
    // The maker's reference is the first end's; the ends were born with one for each.
    Channel& whole = *channel.leak();
    retain(whole);
    return {Ref<ChannelEnd>::adopt(whole.ends_[0]), Ref<ChannelEnd>::adopt(whole.ends_[1])};
}

}  // namespace annulus::kernel
