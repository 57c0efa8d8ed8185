// SPDX-License-Identifier: MIT
// Ring: a client's submission and completion queues, shared with the kernel.
//
// The queues lie in memory that the client may change at any time (abi/ring.h): the kernel copies
// an entry once, and keeps its own indices (RingQueue). A ring belongs to the process that made it:
// its entries name that process's handles, which are looked up when an operation begins.
//
// Every accepted entry gets exactly one completion, for which it has a slot from the begin. Its
// record (RingOperation) was allocated with the ring. Operations on served objects are requests in
// their table's slots as those of threads are (table_ring.cpp); bytes are copied between the slot's
// block and registered memory, which is pinned, by whichever CPU has the bytes at hand. What cannot
// go on at once is `ready` for the ring's work item, which the reaper runs at the priority of who
// submitted last.
//
// Nops, which only check a handle, need no record and are completed as they are taken
// (ring_submit.cpp). One alone whose handle is the one checked last is the head of a `Run`, and is
// completed in assembly (docs/decisions/0030-one-entry-alone.md).
//
// A request takes `lock_` to be accepted, to get hold of its object and memory, and to complete;
// its table's lock to be offered, and to be answered.
//
// The end (last handle, or the death of the budget): every operation is ended, requests that a
// server took become orphans in its table, then pins and reserved handles are given back.
//
// Locking: `lock_` (rank `ring`, above `table`, so that a table may queue what is to be done under
// its own lock). It is not held while bytes are copied or an operation begins.
#pragma once

#include "kernel/memory/memory_object.h"
#include "kernel/object/process.h"
#include "kernel/object/ring_operation.h"
#include "kernel/object/ring_queue.h"
#include "kernel/object/table.h"
#include "kernel/object/watch.h"

#include <cstddef>

namespace annulus::kernel {

class Ring final : public Object, public ListNode<RingOfProcess> {
public:
    // Errors as in abi/operations.h. Entries of the ring use the handles of `process`.
    static Result<Ref<Ring>> create(Budget& budget, Process& process, uint64_t entries,
                                    MemoryObject& memory, uint64_t offset, uint64_t allowed);

    // Errors as in abi/operations.h.
    Result<void> register_memory(uint64_t index, MemoryObject& memory, uint64_t offset,
                                 uint64_t pages, bool writable);
    Result<void> unregister_memory(uint64_t index);
    // Reserves `count` values into `values`, for landings from `first` on; all or none.
    Result<void> reserve_landings(uint64_t first, uint64_t count, uint64_t* values);

    // Takes and completes submitted nops outside chains, at most `limit` and abi::chunk_items,
    // while nothing hinders that. The caller fires completion_watches, if they are `watched`.
    struct Nops {
        uint32_t count = 0;
        uint32_t unread = 0;  // completions, these among them
        bool all = false;     // nothing is left that was asked for and submitted
        bool watched = false;
    };
    Nops complete_nops(const Thread& caller, uint64_t limit);
    // A semaphore gets a unit when completions come. Errors as in abi/operations.h.
    Result<void> watch_completions(Budget& budget, Semaphore& semaphore);

    // Takes up to abi::chunk_items submitted entries, at most `limit`, and begins them.
    struct Taken {
        uint32_t count = 0;
        Status status;  // not ok: why no more were taken (try_again, faulted)
    };
    Taken submit_some(Thread& caller, uint32_t limit);
    // One thread at a time submits. busy, closed.
    Result<void> begin_submitting(const Thread& caller);
    void end_submitting();

    // Waits until `count` completions are unread: then true at once, otherwise the thread's wait is
    // set up. busy: another thread waits; bad_argument; closed; timed_out: the deadline is `poll`.
    Result<bool> wait_for(Thread& thread, uint64_t count, uint64_t deadline);
    // The loser of a wait (wait_record is dead) leaves.
    void cancel_wait(Thread& thread);

    // Ends an operation: its one completion, and what depended on it. The caller ended its wait, or
    // it never waited. No locks.
    void finish(RingOperation& operation, Status status, uint32_t count = 0);
    // The same from under a table's lock: the work item does it.
    void finish_later(RingOperation& operation, Status status);
    // A table granted a slot: the work item goes on. Under the table's lock.
    void continue_later(RingOperation& operation);
    // The answer is in operation.words and its slot's block is dropped: writes the words, and ends
    // it.
    void finish_answered(RingOperation& operation);

    // Bytes between registered memory, which the operation uses, and the kernel's. Any context,
    // with or without locks.
    void copy_in(const RingOperation& operation, uint32_t offset, std::byte* to, uint32_t size);
    void copy_out(const RingOperation& operation, uint32_t offset, const std::byte* from,
                  uint32_t size);

    // The values for `count` handles of a reply, which are the ring's no more. no_room.
    Result<void> take_landings(const RingOperation& operation, unsigned count, uint64_t* values);
    void return_landings(const RingOperation& operation, unsigned count, const uint64_t* values);

    // A handle of the process was closed: operations on objects that it has no handle to any more
    // end.
    void note_handle_closed();

    struct Counts {
        uint32_t entries, in_flight, unread;
        bool faulted;
    };
    Counts counts();
    Process& process() const { return *process_; }

    // Of completions.
    WatchList completion_watches;

    Ring(Budget* payer, uint32_t size);
    static const ObjectKind kind_table;

private:
    friend struct RingEnd;
    friend struct RingWork;
    friend struct RingStart;
    friend struct RingOperation;
    friend struct AssemblyOffsets;

    using List = IntrusiveList<RingOperation, OperationOfList>;
    using Bucket = IntrusiveList<RingOperation, OperationOfBucket>;

    struct Registered {
        Ref<MemoryObject> memory;
        std::byte** addresses = nullptr;  // of its pages; `pages` of them, from the budget
        uint64_t first = 0;
        uint32_t pages = 0;
        uint32_t uses = 0;
        bool writable = false;
        bool busy = false;  // being registered or forgotten
    };

    // ring.cpp
    void prepare_nops();
    void use_storage(void* storage, uint32_t count);
    Result<void> use_queues(MemoryObject& memory, uint64_t first);
    Result<std::byte**> pin_pages(MemoryObject& memory, uint64_t first, uint64_t count);
    void unpin_pages(MemoryObject& memory, std::byte** addresses, uint64_t first, uint64_t count);
    void forget(Registered& registered);
    Registered& registered_at(uint32_t index) { return registered_[index]; }

    // ring_end.cpp
    void end(bool unreferenced);

    // ring_submit.cpp
    static void write_completion(std::atomic<uint64_t>* words, uint64_t user_data, Status status,
                                 uint32_t count);
    void find_run_locked() REQUIRES(lock_);
    bool complete_nop_locked() REQUIRES(lock_);
    uint32_t complete_nops_locked(uint32_t limit) REQUIRES(lock_);
    bool next_is_nop_locked() const REQUIRES(lock_);
    RingOperation* take_entries_locked(uint32_t most, Thread& caller, Taken& taken) REQUIRES(lock_);
    RingOperation* accept_locked(const std::atomic<uint64_t>* words, Thread& caller)
        REQUIRES(lock_);
    RingOperation* place_in_chain_locked(RingOperation& operation) REQUIRES(lock_);
    void post_locked(uint64_t user_data, Status status, uint32_t count) REQUIRES(lock_);
    void publish_locked() REQUIRES(lock_);

    // ring_run.cpp
    void start(RingOperation& operation);
    void retire_operation_locked(RingOperation& operation, bool failed) REQUIRES(lock_);
    void make_ready_locked(RingOperation& operation, NextStep step) REQUIRES(lock_);
    void queue_work_locked() REQUIRES(lock_);
    static void deadline_passed(Timer& timer);
    // Wins the operation's wait for the caller, who calls give_up() without the lock.
    static bool claim_locked(RingOperation& operation);
    void give_up(RingOperation& operation, Error error);
    Error cancel(const RingOperation& canceller);
    void wake_waiter_locked(Status status) REQUIRES(lock_);
    std::byte* registered_byte(const RingOperation& operation, uint32_t offset);

    // ring_nops.h
    std::atomic<uint32_t>& index_at(uint32_t offset) const;
    std::atomic<uint64_t>* word_at(uint32_t offset) const;
    uint32_t submission_at(uint32_t place) const {
        return submissions_at_ + place * uint32_t{sizeof(abi::SubmissionEntry)};
    }
    static uint32_t completion_at(uint32_t place) {
        return abi::ring_completions + place * uint32_t{sizeof(abi::CompletionEntry)};
    }
    bool refresh_locked(uint32_t& submitted) REQUIRES(lock_);
    uint32_t complete_known_locked(uint32_t count) REQUIRES(lock_);
    void show_indices_locked() REQUIRES(lock_);

    // What keeps nops from being completed as they are taken: bits of `hindrances_`.
    enum class Hindrance : uint8_t {
        ended = 1,
        faulted = 2,     // the client's indices were wrong
        submitting = 4,  // a thread takes entries, without the lock now and then
        chain = 8,       // the entry accepted last had ring_link
        waiter = 16,     // a thread waits for completions
        no_nops = 32,    // by the ring's mask
    };
    bool has_locked(Hindrance one) const REQUIRES(lock_) {
        return (hindrances_ & static_cast<uint8_t>(one)) != 0;
    }
    void set_locked(Hindrance one, bool on) REQUIRES(lock_) {
        const auto bit = static_cast<uint8_t>(one);
        hindrances_ = static_cast<uint8_t>(on ? hindrances_ | bit : hindrances_ & ~bit);
        run_.length = 0;
    }

    // The next entries and completions, as far as each lie in one piece of memory. Not 0 while the
    // lock is free: nothing hinders nops, nobody is to be told of completions, and there is room
    // for so many once the client has read all that there are. Whoever changes any of this, or
    // takes or completes entries in another way, sets it to 0.
    struct Run {
        static constexpr unsigned entry_words = sizeof(abi::SubmissionEntry) / sizeof(uint64_t);
        static constexpr unsigned completion_words =
            sizeof(abi::CompletionEntry) / sizeof(uint64_t);
        uint32_t length = 0;
        const std::atomic<uint64_t>* entry = nullptr;
        std::atomic<uint64_t>* completion = nullptr;
    };

    static constexpr unsigned bucket_count = 64;
    static unsigned bucket_of(uint64_t user_data) {
        // The multiplier is 2^64 divided by the golden ratio.
        return static_cast<unsigned>(user_data * 0x9e3779b97f4a7c15u >> 58);
    }

    SpinLock lock_{LockRank::ring};
    uint8_t hindrances_ GUARDED_BY(lock_) = 0;
    RingQueue queue_ GUARDED_BY(lock_){0};
    RecentHandle recent_ GUARDED_BY(lock_);  // the last that an entry named, without a lease
    Run run_ GUARDED_BY(lock_);
    std::byte* pages_[abi::ring_pages_max] = {};  // of the queues, pinned
    std::byte* indices_ = nullptr;                // the first of them
    uint32_t submissions_at_ = 0;
    uint32_t allowed_ = 0;

    RingOperation* operations_ = nullptr;
    List free_ GUARDED_BY(lock_);
    List ready_ GUARDED_BY(lock_);
    List repeating_ GUARDED_BY(lock_);  // after the grace period
    Bucket buckets_[bucket_count] GUARDED_BY(lock_);
    // Of the chain that goes on with the next entry (Hindrance::chain): its last one so far is
    // over, without success; or is not over.
    bool chain_failed_ GUARDED_BY(lock_) = false;
    RingOperation* chain_tail_ GUARDED_BY(lock_) = nullptr;

    Thread* waiter_ GUARDED_BY(lock_) = nullptr;
    uint32_t waiter_count_ GUARDED_BY(lock_) = 0;

    // An entry that is `busy` or used does not change; everything else under lock_.
    Registered registered_[abi::ring_memories_max];
    uint64_t* landings_ GUARDED_BY(lock_) = nullptr;  // reserved handle values, 0: none

    Ref<Process> process_;
    Ref<MemoryObject> memory_;
    uint64_t first_page_ = 0;
    uint32_t page_count_ = 0;
    uint32_t charged_slots_ = 0;

    Work work_;
    bool work_queued_ GUARDED_BY(lock_) = false;
    uint8_t priority_ GUARDED_BY(lock_) = 0;
    GraceItem repeat_grace_;
    bool repeat_waiting_ GUARDED_BY(lock_) = false;  // repeat_grace_ is under way

    // Looking for operations on objects that the process has no handle to any more.
    bool sweep_wanted_ GUARDED_BY(lock_) = false;
    bool sweeping_ GUARDED_BY(lock_) = false;
    uint32_t sweep_at_ GUARDED_BY(lock_) = 0;                 // operation
    const Object* sweep_object_ GUARDED_BY(lock_) = nullptr;  // whose handles are looked for
    uint32_t sweep_slot_ GUARDED_BY(lock_) = 0;               // of the handle table

    bool unreferenced_ GUARDED_BY(lock_) = false;
    uint32_t end_at_ GUARDED_BY(lock_) = 0;
    uint32_t clear_at_ GUARDED_BY(lock_) = 0;
    GraceItem end_grace_;
};

}  // namespace annulus::kernel
