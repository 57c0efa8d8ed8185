// SPDX-License-Identifier: MIT
// RunQueue: what is ready to run on one CPU: 64 priorities, first come first served within one.
//
//   occupied_:  bit p set = lists_[p] is not empty       priority 63 is the most urgent
//   lists_[63]: node <-> node            lists_[40]: node
//
//   next_:      a node that the CPU's own fast path made ready, more urgent than all in the lists
//
// Every operation but pop_first() takes the same few instructions, however many nodes there are.
// Locking: none; the owner guards the queue and its nodes. Only looks_empty() needs no lock.
// `next_` is the exception: this CPU's fast paths, with interrupts off, put a node there and take
// it back without the lock (an exchange decides who gets it). Each operation first moves it to its
// list, where it would have been put.
#pragma once

#include "abi/limits.h"
#include "base/bitmap.h"
#include "base/intrusive_list.h"
#include "base/relaxed.h"

#include <stdint.h>

#include <atomic>

namespace annulus::kernel {

struct ReadyLink;
class RunQueue;

// The base class of what can be queued.
class RunQueueNode : public ListNode<ReadyLink> {
    friend class RunQueue;
    // Whose list it is in; null: none's, though it may be somebody's `next_`. Written by that queue
    // alone, under its owner's lock.
    std::atomic<const RunQueue*> queue_{nullptr};
    uint8_t queued_priority_ = 0;

public:
    // Where push puts the node; below abi::priority_count. A change while it is queued counts from
    // the next push on. Whoever wakes or boosts a thread may look at any time.
    Relaxed<uint8_t> priority{0};
};

class RunQueue {
public:
    // To the end or the front of its priority. The node is in no run queue.
    void push_back(RunQueueNode& node);
    void push_front(RunQueueNode& node);

    // Takes out the first node of the highest priority, or returns null.
    RunQueueNode* pop_highest();

    // Takes out the first node that fits, of the highest priority that has one; it looks at
    // abi::chunk_items at most. Null: it found none.
    template <typename Fits>
    RunQueueNode* pop_first(Fits fits) {
        settle();
        unsigned looked_at = 0;
        PriorityBitmap left = occupied_;
        while (!left.empty()) {
            const uint32_t priority = left.highest();
            left.clear(priority);
            for (RunQueueNode& node : lists_[priority]) {
                if (++looked_at > abi::chunk_items) return nullptr;
                if (!fits(node)) continue;
                remove(node);
                return &node;
            }
        }
        return nullptr;
    }

    // The node is in this queue.
    void remove(RunQueueNode& node);

    bool empty() {
        settle();
        return occupied_.empty();
    }
    // The highest priority that has nodes; the queue is not empty.
    uint8_t highest() {
        settle();
        return static_cast<uint8_t>(occupied_.highest());
    }

    // True if the node is in this queue. It may be in another one, whose lock somebody else has.
    bool contains(const RunQueueNode& node) {
        settle();
        // Relaxed: that it is this queue is written, and unwritten, under the lock that the caller
        // has; any other value is as good as null.
        return node.queue_.load(std::memory_order_relaxed) == this;
    }

    // How many nodes there are in the lists.
    uint32_t size() const { return count_.load(std::memory_order_relaxed); }
    // May be called without the lock: the answer may be old at once.
    bool looks_empty() const {
        return size() == 0 && next_.load(std::memory_order_relaxed) == nullptr;
    }

private:
    friend struct AssemblyOffsets;
    void append(RunQueueNode& node);
    void note_push(RunQueueNode& node);
    void take_out(RunQueueNode& node);
    // A fast path of the queue's CPU may look without the lock whether anybody is ready, first at
    // `next_`, then at `occupied_`: so one of them says so at any time.
    [[gnu::always_inline]] void settle() {
        // Acquire: pairs with the fast path's store: the node is seen as it is.
        RunQueueNode* node = next_.load(std::memory_order_acquire);
        if (node != nullptr) [[unlikely]]
            settle_next(*node);
    }
    void settle_next(const RunQueueNode& next);

    PriorityBitmap occupied_;
    std::atomic<RunQueueNode*> next_{nullptr};
    // Relaxed: written under the owner's lock, read without it as a hint only.
    std::atomic<uint32_t> count_{0};
    IntrusiveList<RunQueueNode, ReadyLink> lists_[abi::priority_count];
};

static_assert(abi::priority_count == PriorityBitmap::size);

}  // namespace annulus::kernel
