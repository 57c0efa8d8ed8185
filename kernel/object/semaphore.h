// SPDX-License-Identifier: MIT
// Semaphore: a count in memory, updated atomically, and the kernel's ability to sleep on it.
//
// The 64-bit word holds the value and, in bit 63, K: "enter the kernel". K clear: programs take and
// signal by compare-and-exchange. K set: only the kernel changes the word, under `lock_`. The queue
// is the truth and K a hint: whoever can write the word can withhold wake-ups from its users,
// nothing more. tests/models/semaphore proves the protocol; step names below are the model's.
//
//   keep = K if the queue is not empty or it is a member of a set, else 0. The kernel never loops
//   on the word: one fetch_or(K) when it begins, one store when it ends.
//
// Modes. Counting: units. Binary: a doorbell, 0 or 1. Sequence: every signal adds one to the value;
// a wait returns when the value differs from the one seen, and takes nothing.
//
// The door (kernel/object/door.h). The fast paths serve the plain cases without the lock: a
// counting or binary semaphore with at most one thread waiting, for nothing else and without a
// deadline; or a member of a set that has no units and that nobody waits for by itself. One word
// says which case it is, who waits, and keeps others out:
//
//   open (0) --wait: exchange, K, store--> the waiting thread --signal: exchange, store--> open
//      \------------------ closed: somebody is in, or the lock's holder --------/
//   the member's record --signal: exchange, a waiter of the set gets the unit, store--> the same
//
// Whoever finds it closed changes nothing and takes the lock, whose holder shuts the door for as
// long as the semaphore is anything but plain (closed_), after moving the thread it finds to the
// queue. Locking: `lock_` (rank `semaphore`) by `Guard`; one semaphore at a time.
#pragma once

#include "base/relaxed.h"
#include "kernel/lock/spin_lock.h"
#include "kernel/memory/memory_object.h"
#include "kernel/object/door.h"
#include "kernel/object/object.h"
#include "kernel/schedule/thread.h"

namespace annulus::kernel {

class SemaphoreSet;
struct SemaphoreOfWord;
struct SetEventTaken;
struct SetMember;
struct WatchOfSemaphore;

inline constexpr uint64_t semaphore_kernel_bit = uint64_t{1} << 63;

enum class SemaphoreMode : uint8_t { counting = 0, binary = 1, sequence = 2 };

// Base of a channel's end, which is a bell.
class Semaphore : public Object, public ListNode<SemaphoreOfWord> {
public:
    // The word lies in the record, or (memory not null) at `offset` of memory, whose page is pinned
    // at `budget`'s expense. busy: the word already has a semaphore. may_fault, out_of_range,
    // no_budget.
    // The one reference is the caller's.
    static Result<Semaphore*> create(Budget& budget, SemaphoreMode mode, uint64_t initial,
                                     MemoryObject* memory, uint64_t offset);

    // Adds `units` (binary: rings; sequence: adds one). Waiters beyond abi::chunk_items are woken
    // by the reaper. limit: the count would exceed abi::semaphore_max; closed: it died.
    Result<void> signal(uint64_t units = 1);

    // Takes a unit (or sees a new value) if it can be had now: then the value for the caller.
    // Otherwise timed_out with `poll`; else queues `link`, which is in no queue, and answers
    // try_again: an `idle` wait_record becomes `waiting`, an `arming` one becomes granted when a
    // unit is taken. busy: it was granted already. closed: the semaphore died.
    Result<uint64_t> take_or_queue(WaitLink& link, uint64_t seen, bool poll);

    // For a thread whose `alone_at` was this semaphore: changes its wait_record from waiting to
    // dead. False: its wait ended meanwhile. The link is still queued.
    bool cancel(Thread& thread);

    // Takes a link whose wait is over out of the queue, if it still is in it.
    void unqueue(WaitLink& link);

    // Like signal(1), but the first waiter is returned instead of made ready, so that the caller
    // can hand the CPU over. Null: the unit was added, or more than one waiter was woken.
    Result<Thread*> signal_for_hand_off();

    // --- for SemaphoreSet, without its lock

    // Becomes the record's semaphore; ready at once if it has units. busy, closed.
    Result<void> join(SetMember& member);
    // Its record in this set, which it leaves; null: it is no member of it.
    SetMember* leave(SemaphoreSet& set);
    // The set ends. Nothing if the record is not this semaphore's any more.
    void leave_ending(SetMember& member);
    // Takes a unit for the record, which the caller popped; false: there is none (any more). More
    // units go to whoever waits on the set, or back to its list.
    bool take_for_set(SetMember& member, SetEventTaken& event);
    // The same, but all units go that way. The thread that got one, to be made ready.
    Thread* place_again(SetMember& member);

    SemaphoreMode mode() const { return mode_; }
    uint64_t value();
    // What a wait that was granted now answers beside its status.
    uint64_t answer();
    // For semaphore.get.state: the value, and which word it is; a memory id of 0: the record's.
    struct State {
        uint64_t value, memory_id, offset;
    };
    State state();
    // The kernel address of the word in memory while there is one, for the registry.
    uint64_t word_address() const { return reinterpret_cast<uint64_t>(&word()); }

    // Guarded by the watch lock.
    IntrusiveList<Watch, WatchOfSemaphore> watches;
    // There was a watch once. Written by whoever holds a reference, so that it does not change any
    // more when the last one has gone.
    std::atomic<bool> was_watched{false};

    // A word in memory that is not used any more; none: the memory is null.
    struct Bound {
        MemoryObject* memory;
        uint64_t word;
    };

    // A record; begin() makes it a semaphore.
    Semaphore();

    static const ObjectKind kind_table;
    static constexpr StockKind stock_kind = StockKind::semaphore;

protected:
    // For objects that are semaphores of their own kind: detach() and die() are the semaphore's
    // part of ObjectKind's.
    Semaphore(const ObjectKind& kind, uint32_t size);
    // The record's next life, or its first. Without the lock: nobody knows the record yet.
    void begin(Budget& payer, SemaphoreMode mode, uint64_t initial) NO_THREAD_SAFETY_ANALYSIS;
    // The end of one that nobody waits for or has in a set, and that was never watched; `bound` is
    // for let_go(). False: it is not that plain, and nothing was changed.
    bool end_quietly(Bound& bound);
    bool unwatch();
    bool detach();
    void die();

    // Rings for the last time: from here on every wait that takes a unit answers `answer`, not 0.
    // For a binary semaphore whose word is its own.
    void ring_last(uint64_t answer);

    // What signalling this rings: itself, or for a channel's end its peer. Null: nothing any more.
    // Only changed to null once it is in use. Release stores pair with acquire loads: the record
    // behind the pointer is complete. Its offset is known to assembly.
    std::atomic<Semaphore*> bell_{this};

private:
    friend struct SemaphoreEnd;
    friend struct AssemblyOffsets;

    // Holds the lock with the door shut. Inlined: most who come find nobody in the door.
    class SCOPED_LOCK_TYPE Guard {
    public:
        [[gnu::always_inline]] explicit Guard(Semaphore& semaphore) ACQUIRES(semaphore.lock_)
            : semaphore_(semaphore) {
            semaphore_.lock_.lock();
            semaphore_.close_door_locked();
        }
        [[gnu::always_inline]] ~Guard() RELEASES() {
            semaphore_.open_door_locked();
            semaphore_.lock_.unlock();
        }
        Guard(const Guard&) = delete;
        Guard& operator=(const Guard&) = delete;

    private:
        Semaphore& semaphore_;
    };

    Bound unbind_locked() REQUIRES(lock_) {
        const Bound bound{memory_, word_address()};
        memory_ = nullptr;
        // A late reader finds a word that nobody else has, not memory that may be somebody's.
        word_ = &own_word_;
        return bound;
    }
    // Gives back all that the word in memory took, but its charge. Without the lock.
    void let_go(const Bound& bound);
    void close_door_locked() REQUIRES(lock_) {
        if (!closed_) take_door_locked();
    }
    void open_door_locked() REQUIRES(lock_) {
        if (plain_locked()) leave_door_locked();
    }
    void take_door_locked() REQUIRES(lock_);
    void leave_door_locked() REQUIRES(lock_);
    // The one predicate for the fast paths, beside who waits: a wait answers 0 (so it is no
    // sequence), alive, nothing left to do; in a set: without units.
    bool plain_locked() const REQUIRES(lock_) {
        if (dead.load(std::memory_order_relaxed) || answer_.load(std::memory_order_relaxed) != 0) {
            return false;
        }
        return owed_units_ == 0 && !waking_ && (member_ == nullptr || plain_member_locked());
    }
    bool plain_member_locked() const REQUIRES(lock_);

    uint64_t answer_for(uint64_t value) const {
        return mode_ == SemaphoreMode::sequence ? value : answer_.load(std::memory_order_relaxed);
    }
    uint64_t keep_locked() const REQUIRES(lock_) {
        return queue_.empty() && member_ == nullptr ? 0 : semaphore_kernel_bit;
    }
    std::atomic<uint64_t>& word() const { return *word_; }
    uint64_t value_locked() const REQUIRES(lock_) {
        return word().load(std::memory_order_relaxed) & ~semaphore_kernel_bit;
    }
    // What the set may hand out of `value`: 0 if there is nothing.
    uint64_t units_for_set_locked(uint64_t value) const REQUIRES(lock_);
    // One unit less, taken for the set; in sequence mode the value is noted.
    void note_taken_locked(uint64_t& value) REQUIRES(lock_);
    // Offers what `value` has to the set, which may take one of it, unless the member is linked:
    // then whoever takes it from the list sees the value. The thread that got a unit, or null.
    Thread* offer_locked(uint64_t& value) REQUIRES(lock_);
    // This semaphore ended: the thread that got its last event, or null.
    Thread* leave_closed_locked() REQUIRES(lock_);
    // Makes a thread that was granted its wait ready; null is nothing.
    static void wake(Thread* thread);
    // Sets K, so that from here on only the kernel changes the word; its value without K.
    uint64_t enter_word_locked() REQUIRES(lock_) {
        // Sequentially consistent: a locked instruction. It takes its turn among the programs'
        // compare-and-exchanges, which fail from now on, and acquires what their signals released.
        return word().fetch_or(semaphore_kernel_bit) & ~semaphore_kernel_bit;
    }
    void leave_word_locked(uint64_t value) REQUIRES(lock_) {
        // Release: pairs with the acquire of a program's take: it sees what the signaller did
        // before.
        word().store(value | keep_locked(), std::memory_order_release);
    }
    void queue_locked(WaitLink& link) REQUIRES(lock_);
    struct Popped {
        Thread* thread;  // null: nobody waits
        bool asleep;     // false: it was still arming and finds the grant by itself
    };
    Popped pop_waiter_locked(uint64_t value) REQUIRES(lock_);
    // Wakes up to chunk_items waiters that are due; true when none is left.
    bool wake_some(Status status);
    bool due_locked() const REQUIRES(lock_);
    void wake_rest();

    SpinLock lock_{LockRank::semaphore};
    // Offsets of these and of mode_ are known to assembly.
    std::atomic<uint64_t> door_;
    // In memory that programs may write, or own_word_: then also when its last reference went.
    // Changed when nobody waits; the registry of words looks at any time.
    Relaxed<std::atomic<uint64_t>*> word_;
    std::atomic<uint64_t> own_word_{0};
    IntrusiveList<WaitLink, SemaphoreQueueLink> queue_ GUARDED_BY(lock_);
    uint64_t owed_units_ GUARDED_BY(lock_) = 0;      // signalled, to be handed out by the reaper
    SetMember* member_ GUARDED_BY(lock_) = nullptr;  // of the set that it is in
    bool closed_ GUARDED_BY(lock_);                  // the door stays shut between holders
    bool waking_ GUARDED_BY(lock_) = false;          // the reaper has `wake_work_`
    bool detached_ GUARDED_BY(lock_) = false;        // the last reference went
    Work wake_work_;
    SemaphoreMode mode_;
    // What a wait answers beside its status; in sequence mode, which answers the value, not 0.
    // Changes once at most, before the ring that tells of it.
    std::atomic<uint64_t> answer_;
    MemoryObject* memory_ = nullptr;  // a reference, which let_go() gives back
    uint64_t offset_ = 0;             // in the memory, if there is one
};

inline void Semaphore::begin(Budget& payer, SemaphoreMode mode, uint64_t initial) {
    const bool sequence = mode == SemaphoreMode::sequence;
    begin_life(payer);
    // Relaxed: whoever comes to know the record sees it by way of the handle.
    was_watched.store(false, std::memory_order_relaxed);
    bell_.store(this, std::memory_order_relaxed);
    own_word_.store(initial, std::memory_order_relaxed);
    answer_.store(sequence ? 1 : 0, std::memory_order_relaxed);
    word_ = &own_word_;
    mode_ = mode;
    owed_units_ = 0;
    detached_ = false;
    closed_ = sequence;
    door_.store(sequence ? door_closed : door_open, std::memory_order_relaxed);
}

[[gnu::always_inline]] inline bool Semaphore::end_quietly(Bound& bound) {
    // Relaxed: as in unwatch().
    if (was_watched.load(std::memory_order_relaxed)) return false;
    SpinGuard guard(lock_);
    close_door_locked();
    if (!queue_.empty() || member_ != nullptr || waking_) [[unlikely]] {
        open_door_locked();
        return false;
    }
    // Whoever looked the semaphore up just before finds it dead, under the lock, or the door shut.
    dead.store(true, std::memory_order_release);
    bound = unbind_locked();
    return true;
}

}  // namespace annulus::kernel
