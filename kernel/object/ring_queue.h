// SPDX-License-Identifier: MIT
// RingQueue: the kernel's own account of a ring's two queues. No locks, no memory of its own.
//
//   entries = in flight + unread completions + room
//
// Invariants. An accepted entry occupies one completion slot from when it is accepted until the
// client has read its completion, so a completion always finds a slot. Indices run freely, modulo
// 2^32. What the client says (submission tail, completion head) is checked against the kernel's own
// indices; a wrong value is refused and changes nothing.
#pragma once

#include <stdint.h>

namespace annulus::kernel {

class RingQueue {
public:
    // `entries` is a power of two.
    constexpr explicit RingQueue(uint32_t entries) : entries_(entries) {}

    // Entries that were submitted and not taken yet. False: the tail lies beyond the queue.
    constexpr bool submitted(uint32_t submission_tail, uint32_t& count) const {
        count = submission_tail - submission_head_;
        return count <= entries_;
    }
    // The client has read the completions up to this. False: it went back, or read what was not
    // written.
    constexpr bool note_read(uint32_t completion_head) {
        if (completion_head - completion_head_ > completion_tail_ - completion_head_) return false;
        completion_head_ = completion_head;
        return true;
    }

    constexpr void note_all_read() { completion_head_ = completion_tail_; }

    // How many entries may be accepted.
    constexpr uint32_t room() const { return entries_ - in_flight_ - unread(); }
    // The place of the next submitted entry.
    constexpr uint32_t next() const { return submission_head_ & (entries_ - 1); }
    // Takes the next submitted entry and answers its place. The caller knows that there is one, and
    // that there is room.
    constexpr uint32_t take() {
        ++in_flight_;
        return submission_head_++ & (entries_ - 1);
    }
    // The place of the completion of an entry that was taken.
    constexpr uint32_t complete() {
        --in_flight_;
        return completion_tail_++ & (entries_ - 1);
    }
    // Takes and completes `count` entries, of which the caller knows what take() wants known.
    constexpr void pass(uint32_t count) {
        submission_head_ += count;
        completion_tail_ += count;
    }

    constexpr uint32_t entries() const { return entries_; }
    constexpr uint32_t in_flight() const { return in_flight_; }
    constexpr uint32_t unread() const { return completion_tail_ - completion_head_; }
    constexpr uint32_t submission_head() const { return submission_head_; }
    constexpr uint32_t completion_tail() const { return completion_tail_; }
    constexpr uint32_t completion_head() const { return completion_head_; }

private:
    friend struct AssemblyOffsets;

    uint32_t entries_;
    uint32_t submission_head_ = 0;
    uint32_t completion_tail_ = 0;
    uint32_t completion_head_ = 0;
    uint32_t in_flight_ = 0;
};

}  // namespace annulus::kernel
