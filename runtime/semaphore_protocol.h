// SPDX-License-Identifier: MIT
// The user-mode half of semaphores: one compare-and-exchange while nobody has to sleep or be woken.
//
// The word holds the value in bits 0..62 and K in bit 63. K clear: anybody who maps the word takes
// and signals by compare-and-exchange. K set (a signed load is negative): somebody is queued, or
// the semaphore is a member of a set, and only the kernel changes the word; every step enters it.
//
// Orders: every successful signal releases and every successful take acquires, so what happened
// before a signal is seen after the take that it allowed. The kernel's own accesses are stronger.
// A signal touches nothing after its update: the word may be gone by then.
//
// `Kernel` has wait(handle, seen, deadline) and signal(handle, units) as in system_call.h; host
// tests put a fake there.
#pragma once

#include "abi/handle.h"
#include "abi/limits.h"
#include "abi/status.h"

#include <stdint.h>

#include <atomic>

namespace annulus::semaphore_protocol {

using Word = std::atomic<uint64_t>;

inline constexpr uint64_t kernel_bit = uint64_t{1} << 63;

inline bool needs_kernel(uint64_t word) { return static_cast<int64_t>(word) < 0; }
constexpr uint64_t value_of(uint64_t word) { return word & ~kernel_bit; }

// The paths beside the first attempt: another CPU was faster, or the kernel is needed. Apart, so
// that the first attempt stays six instructions wherever it is inlined.
template <typename Kernel>
[[gnu::noinline, gnu::cold]] abi::Status up_again(Word& word, abi::Handle handle) {
    uint64_t seen = word.load(std::memory_order_relaxed);
    do {
        if (needs_kernel(seen)) return Kernel::signal(handle, 1);
    } while (!word.compare_exchange_weak(seen, seen + 1, std::memory_order_release,
                                         std::memory_order_relaxed));
    return {};
}

template <typename Kernel>
[[gnu::noinline, gnu::cold]] abi::Status down_again(Word& word, abi::Handle handle,
                                                    uint64_t deadline) {
    uint64_t seen = word.load(std::memory_order_relaxed);
    do {
        // Tested before the subtraction: neither 0 nor K may be decremented.
        if (static_cast<int64_t>(seen) <= 0) return Kernel::wait(handle, 0, deadline).status;
    } while (!word.compare_exchange_weak(seen, seen - 1, std::memory_order_acquire,
                                         std::memory_order_relaxed));
    return {};
}

template <typename Kernel>
[[gnu::noinline, gnu::cold]] abi::Status ring_again(Word& word, abi::Handle handle) {
    uint64_t seen = word.load(std::memory_order_relaxed);
    do {
        if (needs_kernel(seen)) return Kernel::signal(handle, 1);
    } while (
        !word.compare_exchange_weak(seen, 1, std::memory_order_seq_cst, std::memory_order_relaxed));
    return {};
}

// Counting: adds a unit. The count never reaches abi::semaphore_max here: that takes 2^62 calls.
template <typename Kernel>
abi::Status up(Word& word, abi::Handle handle) {
    uint64_t seen = word.load(std::memory_order_relaxed);
    if (!needs_kernel(seen) &&
        word.compare_exchange_strong(seen, seen + 1, std::memory_order_release,
                                     std::memory_order_relaxed)) [[likely]] {
        return {};
    }
    return up_again<Kernel>(word, handle);
}

// Counting and binary: takes a unit; without one, sleeps until `deadline`.
template <typename Kernel>
abi::Status down(Word& word, abi::Handle handle, uint64_t deadline) {
    uint64_t seen = word.load(std::memory_order_relaxed);
    if (static_cast<int64_t>(seen) > 0 &&
        word.compare_exchange_strong(seen, seen - 1, std::memory_order_acquire,
                                     std::memory_order_relaxed)) [[likely]] {
        return {};
    }
    return down_again<Kernel>(word, handle, deadline);
}

// Binary: rings the doorbell. Also at 1 a read-modify-write: a plain load could be ordered before
// this thread's earlier stores, and the peer that takes the 1 would miss them.
template <typename Kernel>
abi::Status ring(Word& word, abi::Handle handle) {
    uint64_t seen = word.load(std::memory_order_relaxed);
    if (!needs_kernel(seen) && word.compare_exchange_strong(seen, 1, std::memory_order_seq_cst,
                                                            std::memory_order_relaxed)) [[likely]] {
        return {};
    }
    return ring_again<Kernel>(word, handle);
}

// Sequence: moves the value on, which wakes everybody who waits.
template <typename Kernel>
abi::Status advance(Word& word, abi::Handle handle) {
    return up<Kernel>(word, handle);
}

// Sequence: waits until the value differs from `seen`, and puts it there. Takes nothing, so the
// value may be read while K is set, too.
template <typename Kernel>
abi::Status await(Word& word, abi::Handle handle, uint64_t& seen, uint64_t deadline) {
    const uint64_t value = value_of(word.load(std::memory_order_acquire));
    if (value != seen) {
        seen = value;
        return {};
    }
    const auto answer = Kernel::wait(handle, seen, deadline);
    if (answer.status.ok()) seen = answer.value;
    return answer.status;
}

}  // namespace annulus::semaphore_protocol
