// SPDX-License-Identifier: MIT
// RingQueues: the client's side of a ring's two queues in shared memory. No system calls.
//
// One thread submits and one reads completions at a time; they may be two.
#pragma once

#include "abi/ring.h"

#include <stddef.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
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
          mask_(entries - 1) {}

    // The place of the next entry, with whatever an earlier one left there; null while the queue is
    // full. It is submitted by publish(), together with all that were prepared.
    abi::SubmissionEntry* prepare() { return has_place() ? &take_place() : nullptr; }

    // Prepares a nop (ring.h). It uses a part of an entry only.
    bool prepare_nop(uint64_t user_data, abi::Handle handle) {
        if (!has_place()) [[unlikely]]
            return false;
        write_nop(take_place(), user_data, handle);
        return true;
    }
    static void write_nop(abi::SubmissionEntry& entry, uint64_t user_data, abi::Handle handle) {
        entry.verb = abi::ring_nop;
        entry.flags = 0;
        entry.selector = 0;
        entry.memory = 0;
        entry.moved_mask = 0;
        entry.landing_count = 0;
        entry.handle = handle;
        entry.user_data = user_data;
    }

    // Places for up to `count` entries that lie in one piece; none while the queue is full.
    std::span<abi::SubmissionEntry> prepare_some(uint32_t count) {
        if (!has_place()) return {};
        const std::span places(next_, std::min<size_t>(count, end_ - next_));
        next_ += places.size();
        prepared_ += static_cast<uint32_t>(places.size());
        return places;
    }

    // Shows the kernel what was prepared.
    void publish() {
        // Release: pairs with the kernel's acquire: it sees the entries.
        index(begin_, abi::ring_submission_tail).store(prepared_, std::memory_order_release);
    }

    // Takes the next completion; false: there is none.
    bool next(abi::CompletionEntry& to) {
        std::byte* const begin = begin_;
        const uint32_t read = read_;
        // Acquire: as in written().
        const uint32_t tail =
            index(begin, abi::ring_completion_tail).load(std::memory_order_acquire);
        if (read == tail) return false;
        // The kernel does not write it again before the head is past it.
        to = completions(begin)[read & mask_];
        read_ = read + 1;
        // Release: pairs with the kernel's acquire: the place may be written again.
        index(begin, abi::ring_completion_head).store(read + 1, std::memory_order_release);
        return true;
    }

    // Completions that can be taken now and lie in one piece; taken with take_some().
    std::span<const abi::CompletionEntry> ready_some() {
        const uint32_t place = read_ & mask_;
        return {completions(begin_) + place, std::min(written() - read_, entries() - place)};
    }
    void take_some(size_t count) {
        read_ += static_cast<uint32_t>(count);
        // Release: as in next().
        index(begin_, abi::ring_completion_head).store(read_, std::memory_order_release);
    }

    // Completions that can be taken now.
    uint32_t ready() const { return written() - read_; }
    uint32_t entries() const { return mask_ + 1; }
    std::byte* begin() const { return begin_; }

private:
    bool has_place() { return next_ != end_ || find_places(); }
    abi::SubmissionEntry& take_place() {
        ++prepared_;
        return *next_++;
    }
    // Places from the next one on that lie in one piece; false: there is none. Apart, and keeping
    // the caller's registers: it is called once in a while.
    [[gnu::cold, gnu::noinline, clang::preserve_most]] bool find_places() {
        // Acquire: pairs with the kernel's release: it has copied what lay in the places.
        const uint32_t taken =
            index(begin_, abi::ring_submission_head).load(std::memory_order_acquire);
        const uint32_t place = prepared_ & mask_;
        next_ = submissions_ + place;
        end_ = next_ + std::min(taken + entries() - prepared_, entries() - place);
        return next_ != end_;
    }
    // Completions, ever.
    uint32_t written() const {
        // Acquire: pairs with the kernel's release: the completions are complete.
        return index(begin_, abi::ring_completion_tail).load(std::memory_order_acquire);
    }
    // Safety, here and below: within the queues, aligned.
    static const abi::CompletionEntry* completions(std::byte* begin) {
        return reinterpret_cast<const abi::CompletionEntry*>(begin + abi::ring_completions);
    }
    // Changed by the kernel at any time.
    static std::atomic<uint32_t>& index(std::byte* begin, uint32_t offset) {
        return *reinterpret_cast<std::atomic<uint32_t>*>(begin + offset);
    }

    std::byte* begin_ = nullptr;
    abi::SubmissionEntry* submissions_ = nullptr;
    uint32_t mask_ = 0;
    uint32_t prepared_ = 0;  // entries, ever
    uint32_t read_ = 0;      // completions, ever
    // Places for entries that are known to be free.
    abi::SubmissionEntry* next_ = nullptr;
    abi::SubmissionEntry* end_ = nullptr;
};

}  // namespace annulus
