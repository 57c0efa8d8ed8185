// SPDX-License-Identifier: MIT
// SpinLock: a ticket lock for short critical sections with interrupts off, and its scope guard.
//
// A ticket lock serves CPUs in the order in which they came, so that no program can keep another
// CPU out of a lock by hammering on it.
#pragma once

#include "base/thread_safety.h"
#include "kernel/assert.h"
#include "kernel/lock/lock_rank.h"

#include <stdint.h>

#include <atomic>

namespace annulus::kernel {

// Hook: one turn of a busy wait (the architecture's pause; a yield on the host).
void spin_wait();

// Precondition of every call: interrupts are off, and stay off until the lock is released.
class LOCK_TYPE SpinLock {
public:
    constexpr explicit SpinLock(LockRank rank) : rank_(rank) {}
    SpinLock(const SpinLock&) = delete;
    SpinLock& operator=(const SpinLock&) = delete;

    void lock() ACQUIRES() {
        note_acquire();
        // Relaxed: the ticket only gives a place in the line; the acquire below orders the data.
        uint32_t ticket = next_.fetch_add(1, std::memory_order_relaxed);
        // Acquire: pairs with the release in unlock(): what the last holder wrote is seen.
        while (serving_.load(std::memory_order_acquire) != ticket) spin_wait();
    }

    bool try_lock() TRY_ACQUIRES(true) {
        // Acquire: pairs with the release in unlock(), as in lock().
        uint32_t ticket = serving_.load(std::memory_order_acquire);
        // Relaxed: fails if anybody holds or awaits the lock; the load above orders the data.
        if (!next_.compare_exchange_strong(ticket, ticket + 1, std::memory_order_relaxed)) {
            return false;
        }
        note_acquire();
        return true;
    }

    void unlock() RELEASES() {
        note_release();
        // Only the holder writes serving_, so its own relaxed load is current.
        uint32_t ticket = serving_.load(std::memory_order_relaxed);
        // Release: pairs with the acquire in lock() and try_lock().
        serving_.store(ticket + 1, std::memory_order_release);
    }

    // True if some CPU holds the lock. For assertions: the answer may be old at once.
    bool held() const {
        return next_.load(std::memory_order_relaxed) != serving_.load(std::memory_order_relaxed);
    }

private:
    // The rank is checked before waiting: a deadlock is reported, not entered.
    void note_acquire() {
        if constexpr (debug_checks) {
            kernel_assert(held_ranks().may_acquire(rank_), "lock taken out of rank order");
            held_ranks().acquire(rank_);
        }
    }
    void note_release() {
        if constexpr (debug_checks) {
            kernel_assert(held_ranks().holds(rank_), "released a lock that this CPU does not hold");
            held_ranks().release(rank_);
        }
    }

    std::atomic<uint32_t> next_{0};
    std::atomic<uint32_t> serving_{0};
    [[maybe_unused]] LockRank rank_;
};

// Holds a SpinLock for the length of a scope.
class SCOPED_LOCK_TYPE SpinGuard {
public:
    explicit SpinGuard(SpinLock& lock) ACQUIRES(lock) : lock_(lock) { lock_.lock(); }
    ~SpinGuard() RELEASES() { lock_.unlock(); }
    SpinGuard(const SpinGuard&) = delete;
    SpinGuard& operator=(const SpinGuard&) = delete;

private:
    SpinLock& lock_;
};

}  // namespace annulus::kernel
