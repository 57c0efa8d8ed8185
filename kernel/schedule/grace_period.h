// SPDX-License-Identifier: MIT
// GracePeriod: the bookkeeping of grace periods, without hardware: who waits, which CPUs are
// missing.
//
//   add() -> next -> (begin) -> current -> (the last missing CPU passes) -> ended -> take_ended()
//
// Invariant: `missing` is not 0 exactly while a period is under way, and `current` is empty
// otherwise.
// Locking: the caller's lock around everything but what says otherwise.
#pragma once

#include "base/intrusive_list.h"
#include "kernel/assert.h"
#include "kernel/schedule/grace.h"

#include <stdint.h>

#include <atomic>

namespace annulus::kernel {

class GracePeriod {
public:
    // Is this CPU still to pass? Any context, without the lock.
    bool missing(unsigned cpu) const {
        // Acquire: pairs with the release in begin(): flush() of the period is seen.
        return (missing_.load(std::memory_order_acquire) & bit(cpu)) != 0;
    }
    bool asleep(unsigned cpu) const {
        return (asleep_.load(std::memory_order_relaxed) & bit(cpu)) != 0;
    }
    bool under_way() const { return missing_.load(std::memory_order_acquire) != 0; }
    // True when nobody waits or is to be called.
    bool idle() const {
        return next_.empty() && current_.empty() &&
               ended_count_.load(std::memory_order_relaxed) == 0;
    }
    bool any_ended() const { return ended_count_.load(std::memory_order_relaxed) != 0; }
    // Translations are dropped in the period under way. Stable for a CPU that is missing.
    bool flush() const { return flush_; }

    void add(GraceItem& item) {
        next_.push_back(item);
        ++next_count_;
        next_flush_ = next_flush_ || item.flush;
    }

    // Begins a period for everything added so far, unless one is under way or nobody waits. Of the
    // CPUs in `online`, those asleep have passed already. Returns the CPUs that must pass. When
    // there is none the period has ended at once: look at any_ended(), and begin again.
    uint64_t begin(uint64_t online) {
        if (under_way() || next_.empty()) return 0;
        current_.splice_back(next_);
        current_count_ = next_count_;
        next_count_ = 0;
        flush_ = next_flush_;
        next_flush_ = false;
        // A read-modify-write: a CPU that we take for asleep and that wakes later reads, in wake(),
        // from this or a later change, so it sees all that was unhooked before.
        const uint64_t asleep = asleep_.fetch_or(0, std::memory_order_acq_rel);
        const uint64_t to_pass = online & ~asleep;
        // Release: pairs with the acquire in missing().
        missing_.store(to_pass, std::memory_order_release);
        if (to_pass == 0) end();
        return to_pass;
    }

    // The CPU holds no pointers right now. True: it was the last one, and the period has ended.
    bool pass(unsigned cpu) {
        const uint64_t before = missing_.load(std::memory_order_relaxed);
        if ((before & bit(cpu)) == 0) return false;
        // Acquire-release: what every CPU did before it passed is seen by whoever ends the period.
        const uint64_t rest = missing_.fetch_and(~bit(cpu), std::memory_order_acq_rel) & ~bit(cpu);
        if (rest != 0) return false;
        end();
        return true;
    }

    // The next item whose period has ended, or null. It is in no list any more.
    GraceItem* take_ended() {
        GraceItem* item = ended_.pop_front();
        if (item != nullptr) ended_count_.fetch_sub(1, std::memory_order_relaxed);
        return item;
    }

    // The CPU holds no pointers and no user translations, and touches nothing before it calls
    // wake(). Both without the lock.
    void sleep(unsigned cpu) {
        // Release: what it did before is done for whoever counts it as asleep.
        asleep_.fetch_or(bit(cpu), std::memory_order_acq_rel);
    }
    void wake(unsigned cpu) {
        // Acquire: pairs with begin().
        asleep_.fetch_and(~bit(cpu), std::memory_order_acq_rel);
    }

private:
    friend struct AssemblyOffsets;
    static constexpr uint64_t bit(unsigned cpu) { return uint64_t{1} << cpu; }

    void end() {
        ended_.splice_back(current_);
        ended_count_.fetch_add(current_count_, std::memory_order_relaxed);
        current_count_ = 0;
    }

    IntrusiveList<GraceItem, GraceLink> next_;
    IntrusiveList<GraceItem, GraceLink> current_;
    IntrusiveList<GraceItem, GraceLink> ended_;
    uint64_t next_count_ = 0;
    uint64_t current_count_ = 0;
    std::atomic<uint64_t> ended_count_{0};
    bool next_flush_ = false;
    bool flush_ = false;
    std::atomic<uint64_t> missing_{0};
    std::atomic<uint64_t> asleep_{0};
};

// The machine's, of grace.cpp. Known to assembly.
extern "C" {
extern GracePeriod grace_periods;
}

// True when grace_settle() may have something to do. Old at once, but never false for longer than
// it takes the CPU to handle the interrupt that it was sent.
inline bool grace_wanted() { return grace_periods.under_way() || grace_periods.any_ended(); }

// Called where no pointers are held: on the slow way out of the kernel, before a switch, in the
// idle loop. Debug builds always look whether any may be.
[[gnu::always_inline]] inline void grace_settle(Cpu& cpu) {
    if (debug_checks || grace_wanted()) [[unlikely]]
        grace_settle_wanted(cpu);
}

}  // namespace annulus::kernel
