// SPDX-License-Identifier: MIT
// RingQueues: the client's side of a ring's two queues in shared memory. No system calls.
//
// One thread submits and one reads completions at a time; they may be two.
#pragma once

#include "abi/ring.h"

#include <stddef.h>

#include <algorithm>
#include <atomic>
#include <span>

namespace annulus {

class RingQueues {
public:
    RingQueues() = default;
    // `begin`: ring_bytes(entries) bytes, aligned to 128, that the kernel cleared the indices of.
    RingQueues(std::byte* begin, uint32_t entries)
        : begin_(begin),
          // Safety: within the queues, aligned.
          submissions_(
              reinterpret_cast<abi::SubmissionEntry*>(begin + abi::ring_submissions(entries))),
          completions_(
              reinterpret_cast<const abi::CompletionEntry*>(begin + abi::ring_completions)),
          mask_(entries - 1),
          full_at_(entries) {}

    // The place of the next entry, with whatever an earlier one left there; null while the queue is
    // full. It is submitted by publish(), together with all that were prepared.
    abi::SubmissionEntry* prepare() {
        const uint32_t place = prepared_;
        if (place == full_at_ && place == see_taken()) return nullptr;
        prepared_ = place + 1;
        return &submissions_[place & mask_];
    }

    // Prepares a nop (ring.h). It uses a part of an entry only.
    bool prepare_nop(uint64_t user_data, abi::Handle handle) {
        abi::SubmissionEntry* entry = prepare();
        if (entry == nullptr) return false;
        write_nop(*entry, user_data, handle);
        return true;
    }
    static void write_nop(abi::SubmissionEntry& entry, uint64_t user_data, abi::Handle handle) {
        entry.verb = abi::ring_nop;
        entry.flags = 0;
        entry.selector = 0;
        entry.memory = abi::ring_no_memory;
        entry.moved_mask = 0;
        entry.landing_count = 0;
        entry.handle = handle;
        entry.user_data = user_data;
    }

    // Places for up to `count` entries that lie in one piece; none while the queue is full.
    std::span<abi::SubmissionEntry> prepare_some(uint32_t count) {
        if (prepared_ == full_at_) see_taken();
        const uint32_t place = prepared_ & mask_;
        count = std::min({count, full_at_ - prepared_, entries() - place});
        prepared_ += count;
        return {&submissions_[place], count};
    }

    // Shows the kernel what was prepared.
    void publish() {
        // Release: pairs with the kernel's acquire: it sees the entries.
        index(abi::ring_submission_tail).store(prepared_, std::memory_order_release);
    }

    // Takes the next completion; false: there is none.
    bool next(abi::CompletionEntry& to) {
        const uint32_t read = read_;
        if (read == written_ && read == see_written()) return false;
        // The kernel does not write it again before the head is past it.
        to = completions_[read & mask_];
        read_ = read + 1;
        // Release: pairs with the kernel's acquire: the place may be written again.
        index(abi::ring_completion_head).store(read + 1, std::memory_order_release);
        return true;
    }

    // Completions that can be taken now and lie in one piece; taken with take_some().
    std::span<const abi::CompletionEntry> ready_some() {
        if (read_ == written_) see_written();
        const uint32_t place = read_ & mask_;
        return {&completions_[place], std::min(written_ - read_, entries() - place)};
    }
    void take_some(size_t count) {
        read_ += static_cast<uint32_t>(count);
        // Release: as in next().
        index(abi::ring_completion_head).store(read_, std::memory_order_release);
    }

    // Completions that can be taken now.
    uint32_t ready() const {
        return index(abi::ring_completion_tail).load(std::memory_order_acquire) - read_;
    }
    uint32_t entries() const { return mask_ + 1; }
    std::byte* begin() const { return begin_; }

private:
    uint32_t see_taken() {
        // Acquire: pairs with the kernel's release: it has copied what lay in the places.
        const uint32_t taken = index(abi::ring_submission_head).load(std::memory_order_acquire);
        return full_at_ = taken + entries();
    }
    uint32_t see_written() {
        // Acquire: pairs with the kernel's release: the completions are complete.
        const uint32_t written = index(abi::ring_completion_tail).load(std::memory_order_acquire);
        return written_ = written;
    }
    // Safety: within the queues, aligned; changed by the kernel at any time.
    std::atomic<uint32_t>& index(uint32_t offset) const {
        return *reinterpret_cast<std::atomic<uint32_t>*>(begin_ + offset);
    }

    std::byte* begin_ = nullptr;
    abi::SubmissionEntry* submissions_ = nullptr;
    const abi::CompletionEntry* completions_ = nullptr;
    uint32_t mask_ = 0;
    uint32_t prepared_ = 0;
    uint32_t full_at_ = 0;  // `prepared_` when the queue is full, as far as was seen
    uint32_t read_ = 0;
    uint32_t written_ = 0;  // completions, as far as was seen
};

}  // namespace annulus
