// SPDX-License-Identifier: MIT
// SpinLock: one word, for short critical sections with interrupts off, and its scope guard.
//
// Whoever comes at the right moment gets it. A queue of tickets would be fair, but in a virtual
// machine the CPU whose turn it is may not be running, and then all others wait for the host
// (docs/decisions/0011-locks-without-tickets.md).
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
        // Acquire: pairs with the release in unlock(): what the last holder wrote is seen.
        if (held_.exchange(1, std::memory_order_acquire) != 0) [[unlikely]]
            wait();
    }

    bool try_lock() TRY_ACQUIRES(true) {
        // Acquire: pairs with the release in unlock(), as in lock().
        if (held_.exchange(1, std::memory_order_acquire) != 0) return false;
        note_acquire();
        return true;
    }

    void unlock() RELEASES() {
        note_release();
        // Release: pairs with the acquire in lock() and try_lock().
        held_.store(0, std::memory_order_release);
    }

    // True if some CPU holds the lock. For assertions: the answer may be old at once.
    bool held() const { return held_.load(std::memory_order_relaxed) != 0; }

private:
    friend struct AssemblyOffsets;

    // Out of line and with a calling convention that keeps all registers: so a function that takes
    // a lock need not save its own for a wait that hardly ever comes.
    [[gnu::noinline, clang::preserve_most]] void wait() {
        do {
            // Relaxed: only tells when it is worth trying again; reading keeps the line shared.
            while (held_.load(std::memory_order_relaxed) != 0) spin_wait();
            // Acquire: as in lock().
        } while (held_.exchange(1, std::memory_order_acquire) != 0);
    }
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

    std::atomic<uint32_t> held_{0};  // 1 while a CPU has it; taken by assembly, too
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
