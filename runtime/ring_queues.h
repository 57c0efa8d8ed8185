// SPDX-License-Identifier: MIT
// RingQueues: the client's side of a ring's two queues in shared memory. No system calls.
//
// One thread submits and one reads completions at a time; they may be two.
#pragma once

#include "abi/ring.h"

#include <stddef.h>

#include <atomic>

namespace annulus {

class RingQueues {
public:
    RingQueues() = default;
    // `begin`: ring_bytes(entries) bytes, aligned to 128, that the kernel cleared the indices of.
    RingQueues(std::byte* begin, uint32_t entries) : begin_(begin), entries_(entries) {}

    // The next entry, with the defaults of a nop; null while the queue is full. It is submitted by
    // publish(), together with all that were prepared.
    abi::SubmissionEntry* prepare() {
        // Acquire: pairs with the kernel's release: it has copied what lay in this place.
        const uint32_t taken = index(abi::ring_submission_head).load(std::memory_order_acquire);
        if (prepared_ - taken >= entries_) return nullptr;
        const uint32_t place = prepared_++ & (entries_ - 1);
        // Safety: within the queues, aligned, and the kernel does not read it before the tail is
        // published.
        auto* entry = reinterpret_cast<abi::SubmissionEntry*>(
            begin_ + abi::ring_submissions(entries_) + place * sizeof(abi::SubmissionEntry));
        *entry = {};
        entry->verb = abi::ring_nop;
        entry->memory = abi::ring_no_memory;
        entry->deadline = abi::deadline_never;
        return entry;
    }

    // Shows the kernel what was prepared. How many entries it has not taken yet.
    uint32_t publish() {
        // Release: pairs with the kernel's acquire: it sees the entries.
        index(abi::ring_submission_tail).store(prepared_, std::memory_order_release);
        return prepared_ - index(abi::ring_submission_head).load(std::memory_order_relaxed);
    }

    // Takes the next completion; false: there is none.
    bool next(abi::CompletionEntry& to) {
        // Acquire: pairs with the kernel's release: the completion is complete.
        const uint32_t tail = index(abi::ring_completion_tail).load(std::memory_order_acquire);
        if (read_ == tail) return false;
        const uint32_t place = read_ & (entries_ - 1);
        // Safety: within the queues; the kernel does not write it again before the head is past it.
        to = *reinterpret_cast<const abi::CompletionEntry*>(begin_ + abi::ring_completions +
                                                            place * sizeof(to));
        ++read_;
        // Release: pairs with the kernel's acquire: the place may be written again.
        index(abi::ring_completion_head).store(read_, std::memory_order_release);
        return true;
    }

    // Completions that can be taken now.
    uint32_t ready() const {
        return index(abi::ring_completion_tail).load(std::memory_order_acquire) - read_;
    }
    uint32_t entries() const { return entries_; }
    std::byte* begin() const { return begin_; }

private:
    // Safety: within the queues, aligned; changed by the kernel at any time.
    std::atomic<uint32_t>& index(uint32_t offset) const {
        return *reinterpret_cast<std::atomic<uint32_t>*>(begin_ + offset);
    }

    std::byte* begin_ = nullptr;
    uint32_t entries_ = 0;
    uint32_t prepared_ = 0;
    uint32_t read_ = 0;
};

}  // namespace annulus
