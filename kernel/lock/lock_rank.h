// SPDX-License-Identifier: MIT
// Lock ranks: the one order in which locks are taken, and the per-CPU check of it.
//
// A CPU takes locks in strictly increasing rank and releases them in any order; so no two CPUs
// can wait for each other, and no lock is taken twice. Debug builds check every acquisition.
#pragma once

#include <stdint.h>

#include <bit>

namespace annulus::kernel {

// Outermost first. Numbers leave room; they are below 64.
enum class LockRank : uint8_t {
    process = 6,
    address_space = 8,
    memory = 10,
    ring_list = 12,
    watch = 16,
    semaphore_words = 18,
    semaphore = 20,
    semaphore_set = 24,
    table = 28,
    ring = 29,
    handle_table = 30,
    lease = 32,
    retired = 33,
    grace = 34,
    budget = 36,
    reaper = 38,
    run_queue = 40,
    timer = 44,
    device = 46,
    heap_magazine = 48,
    heap_class = 50,
    page_cache = 52,
    page_allocator = 54,
};

// The ranks that one CPU holds, as a bit set. Not synchronised: only that CPU touches it, with
// interrupts off.
class HeldRanks {
public:
    // True if a lock of this rank may be taken: every held rank is lower.
    constexpr bool may_acquire(LockRank rank) const { return bits_ >> number(rank) == 0; }
    // may_acquire(rank) holds.
    constexpr void acquire(LockRank rank) { bits_ |= uint64_t{1} << number(rank); }
    constexpr bool holds(LockRank rank) const { return (bits_ >> number(rank) & 1) != 0; }
    // holds(rank) holds.
    constexpr void release(LockRank rank) { bits_ &= ~(uint64_t{1} << number(rank)); }
    constexpr bool none() const { return bits_ == 0; }
    constexpr uint32_t count() const { return static_cast<uint32_t>(std::popcount(bits_)); }

private:
    static constexpr uint32_t number(LockRank rank) { return static_cast<uint32_t>(rank); }

    uint64_t bits_ = 0;
};

// Hook: the calling CPU's held ranks. Called in debug builds only.
HeldRanks& held_ranks();

}  // namespace annulus::kernel
