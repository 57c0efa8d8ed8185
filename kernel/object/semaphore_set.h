// SPDX-License-Identifier: MIT
// SemaphoreSet: waiting for very many semaphores, at a cost in the number of ready ones.
//
//   semaphore <-> SetMember ---- ready list (has units) ----> taken by who waits on the set
//
// A member record is on the ready list or in the hands of one kernel visit, or neither: `linked`.
// It changes under the semaphore's lock only. Whoever has a record in hand looks at the semaphore
// again, under its lock: takes one unit, and puts the record at the tail while units are left.
// tests/models/semaphore/set.pml proves the protocol.
//
// A signal that finds somebody waiting on the set gives him the unit and the key directly, so while
// somebody waits the ready list is empty; whoever would break that starts the pump.
// Bound to a table, the set's waiters are the table's server threads.
//
// The door (kernel/object/door.h), as a semaphore's: open while nobody waits and nothing is ready,
// else it names the one thread that waits for nothing else, without a deadline or an array; or the
// table, while nothing is ready. So whoever finds a thread or a table there may give it an event.
//
// Lifetime. A member does not keep its semaphore alive: one that ends gives its key once more, as
// closed. A record that was removed is used again only after a grace period, since another CPU may
// have it in hand. The records go with the set.
// Locking: `lock_` (rank `semaphore_set`) by `Guard`, inside the lock of a semaphore, outside that
// of a table.
#pragma once

#include "kernel/lock/spin_lock.h"
#include "kernel/object/door.h"
#include "kernel/object/object.h"
#include "kernel/schedule/thread.h"

namespace annulus::kernel {

class Semaphore;
class SemaphoreSet;
class Table;
struct ReadyMember;

struct SetMember : ListNode<ReadyMember> {
    SemaphoreSet* set = nullptr;
    Semaphore* semaphore = nullptr;  // null: free, removed or closed; guarded by the set's lock
    uint64_t key = 0;
    uint64_t last = 0;       // sequence: the value returned last; guarded by the semaphore's lock
    uint32_t next_free = 0;  // index + 1
    bool linked = false;     // guarded by the semaphore's lock
    bool closed = false;     // the semaphore ended: guarded by the set's lock
};
static_assert(sizeof(SetMember) == 56);

struct SetEventTaken {
    uint64_t key = 0;
    uint64_t value = 0;
    bool closed = false;
};

class SemaphoreSet final : public Object {
public:
    // Charges the records and `room` wait records. no_budget, no_memory.
    static Result<Ref<SemaphoreSet>> create(Budget& budget, uint32_t room);

    // busy: the semaphore is a member of a set. closed: it or the set ended. limit: no room.
    Result<void> add(Semaphore& semaphore, uint64_t key, uint64_t seen);
    // First half of removal: from here on nobody takes the member from the set. The record in
    // `removed` is to be given to forget() after a grace period. not_found.
    Result<void> take_out(Semaphore& semaphore, SetMember*& removed);
    void forget(SetMember& member);

    // The next event, taken; false: there is none. No locks. try_again: many came to nothing.
    Result<bool> take(SetEventTaken& event);
    // The same, or queues the thread (whose wait is prepared), or answers timed_out with `poll`.
    // True: taken. busy: the set is bound to a table.
    Result<bool> take_or_queue(SetEventTaken& event, Thread& thread, bool poll);
    void unqueue(Thread& thread);
    // For a thread whose `alone_at` was this set: changes its wait_record from waiting to dead.
    // False: its wait ended meanwhile. It is still queued.
    bool cancel(Thread& thread);

    // The table serves the set's events from now on, and owns a reference to the set, which the
    // caller made, until unbind(). busy, closed, or what the table answers.
    Result<void> bind(Table& table);
    void unbind();

    // --- for Semaphore, under the semaphore's lock

    // `member` is not linked and has `units` to give. One goes to a waiting thread, if there is
    // one; with the rest the record is linked.
    struct Placed {
        Thread* woken = nullptr;  // to be made ready without the lock; it got a unit
    };
    Placed place(SetMember& member, uint64_t value, uint64_t units);
    // The semaphore ends. The thread that got the member's last event, to be made ready.
    Thread* close(SetMember& member);
    // Joins and leaves: the record's semaphore changes.
    bool attach(SetMember& member, Semaphore& semaphore);
    void unlink(SetMember& member);

    struct Counts {
        uint32_t members, room;
        bool ready, bound;
    };
    Counts counts();

    SemaphoreSet(Budget* payer, uint32_t size, uint32_t room);
    static const ObjectKind kind_table;

private:
    friend struct SetEnd;
    friend struct AssemblyOffsets;

    // Holds the lock with the door shut.
    class SCOPED_LOCK_TYPE Guard {
    public:
        explicit Guard(SemaphoreSet& set) ACQUIRES(set.lock_) : set_(set) {
            set_.lock_.lock();
            set_.close_door_locked();
        }
        ~Guard() RELEASES() {
            set_.open_door_locked();
            set_.lock_.unlock();
        }
        Guard(const Guard&) = delete;
        Guard& operator=(const Guard&) = delete;

    private:
        SemaphoreSet& set_;
    };

    void close_door_locked() REQUIRES(lock_) {
        if (!closed_) take_door_locked();
    }
    void take_door_locked() REQUIRES(lock_);
    void open_door_locked() REQUIRES(lock_);
    uint32_t index_of(const SetMember& member) const {
        return static_cast<uint32_t>(&member - records_);
    }
    SetMember* allocate_locked() REQUIRES(lock_);
    void free_locked(SetMember& member) REQUIRES(lock_);
    SetMember* pop_locked() REQUIRES(lock_);
    void push_locked(SetMember& member) REQUIRES(lock_);
    Thread* grant_locked(const SetEventTaken& event) REQUIRES(lock_);
    bool somebody_waits_locked() const REQUIRES(lock_);
    bool start_work_locked() REQUIRES(lock_);
    // Takes from what is first on the list; not_found: the list is empty; false: it had nothing.
    Result<bool> take_first(SetEventTaken& event);
    bool pump_one();

    SpinLock lock_{LockRank::semaphore_set};
    std::atomic<uint64_t> door_{door_open};  // its offset is known to assembly
    bool closed_ GUARDED_BY(lock_) = false;  // the door stays shut between holders
    IntrusiveList<SetMember, ReadyMember> ready_ GUARDED_BY(lock_);
    IntrusiveList<WaitLink, SemaphoreQueueLink> queue_ GUARDED_BY(lock_);
    Table* table_ GUARDED_BY(lock_) = nullptr;
    SetMember* records_ = nullptr;
    uint32_t room_;
    uint32_t fresh_ GUARDED_BY(lock_) = 0;  // records from here on were never used
    uint32_t free_head_ GUARDED_BY(lock_) = 0;
    uint32_t used_ GUARDED_BY(lock_) = 0;
    uint32_t end_cursor_ GUARDED_BY(lock_) = 0;
    bool ended_ GUARDED_BY(lock_) = false;
    bool unreferenced_ GUARDED_BY(lock_) = false;  // it goes, a grace period after the work is done
    bool working_ GUARDED_BY(lock_) = false;       // the reaper has work_
    bool again_ GUARDED_BY(lock_) = false;         // work came while it was at work
    Work work_;
    GraceItem end_grace_;
};

// The thread's wait on a set was granted: its message, or what finishes the wait, gets the event.
void give_set_event(Thread& thread, const SetEventTaken& event);

}  // namespace annulus::kernel
