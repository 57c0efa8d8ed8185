// SPDX-License-Identifier: MIT
// Channel: memory that two processes share, and a bell for each of them. The kernel never touches
// the data.
//
//   handle -> ChannelEnd 0 --+--> Channel: pinned memory, geometry, fault
//   handle -> ChannelEnd 1 --+
//
// An end *is* a binary semaphore, its own bell, whose word lies in the kernel; signalling an end
// rings the other one's (Semaphore::bell_). So whatever waits for a semaphore (wait, wait_any,
// sets) takes an end, and the fast paths of semaphores serve it. Lifetime: each end holds a
// reference to the channel. The ends know each other by plain pointers, cleared when either is
// detached: whoever reads one may use it until the kernel is left. A fault, too, takes the bells
// away, so that whoever finds one need not look at the channel.
#pragma once

#include "kernel/object/semaphore.h"
#include "kernel/schedule/reaper.h"

namespace annulus::kernel {

// What the ends share. It has no handle of its own.
class Channel final : public Object {
public:
    struct Geometry {
        uint64_t offset;  // of the memory object, in bytes, until the channel has its range
        uint64_t length;  // in bytes
        uint32_t structure;
        uint32_t version;
    };
    // bad_argument (details are those of budget.create.channel), out_of_range, may_fault,
    // no_budget. The memory is not pinned yet.
    static Result<Ref<Channel>> create(Budget& budget, MemoryObject& memory,
                                       const Geometry& geometry);

    // Commits and pins up to abi::chunk_items pages more; true when all are. Its maker only.
    Result<bool> pin_some();

    const Geometry& geometry() const { return geometry_; }
    uint64_t id() const { return id_; }
    // A reference to exactly the channel's memory. closed: it ended.
    Result<Ref<MemoryObject>> memory();

    // False: it was faulted before.
    bool fault(uint32_t reason);
    // ok, or faulted with the reason as extra.
    Status state() const;

    Channel(Budget* payer, uint32_t size, const Geometry& geometry);
    static const ObjectKind kind_table;

private:
    friend struct ChannelParts;

    Geometry geometry_;
    uint64_t id_;
    MemoryObject* memory_ = nullptr;  // holds a reference until it is detached
    uint64_t pinned_ = 0;             // pages, from the first on
    std::atomic<uint64_t> fault_{0};  // the Status that state() answers
    Work unpin_work_;
};

// One end.
class ChannelEnd final : public Semaphore {
public:
    struct Pair {
        Ref<ChannelEnd> first, second;
    };
    // Both ends of a channel whose memory is pinned. no_budget.
    static Result<Pair> create(Budget& budget, Ref<Channel> channel);

    // The bell that signalling this end rings. closed: nobody holds the other end any more;
    // faulted.
    Result<Semaphore*> peer_bell() const;
    // Null: this end is going away.
    Channel* channel() const { return channel_.load(std::memory_order_acquire); }
    unsigned number() const { return number_; }
    bool peer_closed() const { return peer_closed_.load(std::memory_order_acquire); }

    // Faults the channel and rings both bells. The first reason counts. closed.
    Result<void> shut_down(uint32_t reason);

    ChannelEnd(Budget* payer, uint32_t size, unsigned number);
    static const ObjectKind kind_table;

private:
    friend struct ChannelParts;

    unsigned number_;
    // Release stores of these pair with acquire loads: the record behind the pointer is complete.
    std::atomic<Channel*> channel_{nullptr};  // holds a reference
    std::atomic<ChannelEnd*> peer_{nullptr};
    std::atomic<bool> peer_closed_{false};
};

}  // namespace annulus::kernel
