// SPDX-License-Identifier: MIT
// Ring: the client's indices, and entries that are complete as soon as they are taken.
//
// A nop only checks a handle. It needs no record, so all that lie at the head of the queue are
// completed in one hold of the lock, with one acquire (the client's indices) and one release (the
// kernel's). One alone is completed by arch/x86_64/syscall/ring_path.S, by the same rules; whoever
// changes these changes those.
#pragma once

#include "kernel/object/process.h"
#include "kernel/object/ring.h"

namespace annulus::kernel {

// Safety, here and below: the queues' pages are pinned, and offsets are those of abi/ring.h for
// this number of entries. Programs change the memory at any time, so it is only ever accessed as
// atomics, each word once.
inline std::atomic<uint32_t>& Ring::index_at(uint32_t offset) const {
    return *reinterpret_cast<std::atomic<uint32_t>*>(indices_ + offset);
}

inline std::atomic<uint64_t>* Ring::word_at(uint32_t offset) const {
    return reinterpret_cast<std::atomic<uint64_t>*>(pages_[offset / abi::page_size] +
                                                    offset % abi::page_size);
}

// Looks at the client's indices. False: they are wrong, and the ring takes no entries any more.
inline bool Ring::refresh_locked(uint32_t& submitted) {
    // Acquire: pairs with the client's release: its entries, and what it read, came before.
    const uint32_t tail = index_at(abi::ring_submission_tail).load(std::memory_order_acquire);
    const uint32_t head = index_at(abi::ring_completion_head).load(std::memory_order_acquire);
    if (queue_.note_read(head) && queue_.submitted(tail, submitted)) return true;
    set_locked(Hindrance::faulted, true);
    return false;
}

inline void Ring::show_indices_locked() {
    // Release: pair with the client's acquire: it sees the completions, and may use the entries'
    // places again.
    index_at(abi::ring_completion_tail).store(queue_.completion_tail(), std::memory_order_release);
    index_at(abi::ring_submission_head).store(queue_.submission_head(), std::memory_order_release);
}

inline void Ring::write_completion(std::atomic<uint64_t>* words, uint64_t user_data, Status status,
                                   uint32_t count) {
    const uint64_t high = status.ok() ? count : status.extra();
    // Relaxed: the release in show_indices_locked() orders both.
    words[0].store(user_data, std::memory_order_relaxed);
    words[1].store(high << 32 | static_cast<uint32_t>(status.bits), std::memory_order_relaxed);
}

// Writes the completion of an entry that was taken. publish_locked() shows it to the client.
inline void Ring::post_locked(uint64_t user_data, Status status, uint32_t count) {
    run_.length = 0;
    write_completion(word_at(completion_at(queue_.complete())), user_data, status, count);
}

inline void Ring::publish_locked() {
    run_.length = 0;
    show_indices_locked();
    if (waiter_ != nullptr && queue_.unread() >= waiter_count_) wake_waiter_locked({});
}

// Completes at most `count` entries of the run, until one is no nop with the handle that was
// checked last. How many. There is at least one, and room for `count` completions.
//
// That the handle is still good is looked at once: all of them happen at that moment. What the
// client did before it submitted the last of them has happened before.
[[gnu::always_inline]] inline uint32_t Ring::complete_known_locked(uint32_t count) {
    // Relaxed: nothing that the handle names is looked at.
    if (recent_.entry->word.load(std::memory_order_relaxed) != recent_.word) return 0;
    const abi::Handle handle = recent_.handle;
    const std::atomic<uint64_t>* entry = run_.entry;
    std::atomic<uint64_t>* completion = run_.completion;
    uint32_t left = count;
    do {
        // Relaxed: ordered by the acquire of the tail. Whoever takes another entry reads this word
        // anew, and relies on nothing that was seen here. No flags.
        if (static_cast<uint16_t>(entry[0].load(std::memory_order_relaxed)) != abi::ring_nop) break;
        if (entry[1].load(std::memory_order_relaxed) != handle) break;
        // Relaxed: the release in show_indices_locked() orders both.
        completion[0].store(entry[2].load(std::memory_order_relaxed), std::memory_order_relaxed);
        completion[1].store(0, std::memory_order_relaxed);
        entry += Run::entry_words;
        completion += Run::completion_words;
    } while (--left != 0);
    const uint32_t done = count - left;
    run_ = {run_.length - done, entry, completion};
    queue_.pass(done);
    return done;
}

}  // namespace annulus::kernel
