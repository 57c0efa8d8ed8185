// SPDX-License-Identifier: MIT
// Process: an address space, a handle table and threads.
//
// Life: made without threads -> handles are installed -> the first thread starts it -> it ends with
// its last thread, by kill, by an unwatched fault, or with its budget -> the reaper takes its
// handles and memory away in chunks; then the exit watches fire. The record lives on, so that
// get.state answers, until its last handle goes.
//
//   alive -> kill_threads -> wait_threads -> quiesce -> close_handles -> unmap -> forget -> gone
//
// A thread holds a reference to its process; the process holds one to each thread until it has
// ended; the end itself holds one from `kill_threads` to `gone`. A process that never started and
// loses its last handle goes the same way without.
// Locking: `lock_` (rank `process`) guards the lists of threads, the state and the fault.
#pragma once

#include "kernel/memory/address_space.h"
#include "kernel/object/handle_table.h"
#include "kernel/object/process_list.h"
#include "kernel/object/ring_list.h"
#include "kernel/schedule/thread.h"

namespace annulus::kernel {

class Process final : public Object, public ListNode<ListedProcess> {
public:
    // `handles` slots; charges tables and page tables to `budget`, which is also the one its
    // threads and watches are charged to. no_budget, no_memory.
    static Result<Ref<Process>> create(Budget& budget, uint32_t handles, bool withhold_cycles);
    // Prepares a chunk of the handle table; true when it is whole. Until then nobody may see the
    // process. wrong_state: it was ended meanwhile.
    Result<bool> prepare_some();

    // Ends it: every thread is killed, then the reaper takes it apart. The first reason counts.
    // Any number of times, at any time, without locks.
    void kill(abi::EndReason reason, uint64_t code);

    // A fault stopped `thread`, which is current; its state is complete in its record, the fault
    // included. Does not return: with a fault watcher the thread stays stopped, otherwise a report
    // is logged and the process dies. A process whose budget is being destroyed just ends.
    [[noreturn]] void stop_at_fault(Thread& thread);

    // Called by a thread that is dead and off its CPU's hands; ends the process with the last one.
    // Gives back the process's reference to the thread.
    void thread_ended(Thread& thread);
    // Takes a reference to the thread. False when the process has ended or is ending.
    bool add_thread(Thread& thread);

    void read_state(abi::ProcessState& to);
    // Of the threads that are stopped by a fault the one that stopped first. not_found.
    Result<Ref<Thread>> faulted_thread();

    // Signals the semaphore when the process is gone, or a fault stops a thread; at once, if that
    // is so. Errors as for WatchList::add.
    Result<void> watch_exit(Budget& budget, Semaphore& semaphore);
    Result<void> watch_fault(Budget& budget, Semaphore& semaphore);

    bool started() const { return started_.load(std::memory_order_acquire); }
    bool ended() const { return ended_.load(std::memory_order_acquire); }
    bool withholds_cycles() const { return withholds_cycles_; }
    uint64_t id() const { return id_; }

    HandleTable handles;
    AddressSpace space;
    RingList rings;
    WatchList exit_watches;
    WatchList fault_watches;

    Process(Budget* payer, uint32_t size, bool withhold_cycles);

    static const ObjectKind kind_table;

private:
    friend struct ProcessEnd;

    bool loses_budget() const;

    enum class Stage : uint8_t {
        alive,
        kill_threads,
        wait_threads,
        quiesce,
        close_handles,
        unmap,
        forget,
        gone
    };
    struct EndWork : Work {
        Process* process = nullptr;
    };
    struct EndGrace : GraceItem {
        Process* process = nullptr;
    };
    using Threads = IntrusiveList<Thread, ThreadOfProcess>;

    void end_locked(abi::EndReason reason, uint64_t code) REQUIRES(lock_);

    SpinLock lock_{LockRank::process};
    Threads threads_ GUARDED_BY(lock_);
    Threads stopped_ GUARDED_BY(lock_);  // by a fault, oldest first; some may run again
    Threads killed_ GUARDED_BY(lock_);   // seen by kill_threads
    uint32_t thread_count_ GUARDED_BY(lock_) = 0;
    uint64_t ended_cycles_ GUARDED_BY(lock_) = 0;  // of threads that have ended
    Stage stage_ = Stage::alive;                   // until `quiesce` under lock_, then the reaper's
    std::atomic<bool> started_{false};
    std::atomic<bool> ended_{false};  // killing began: no new threads or handles; under lock_
    bool withholds_cycles_;
    bool unreferenced_ = false;  // the last handle went before it started
    abi::EndReason reason_ GUARDED_BY(lock_) = abi::EndReason::alive;
    uint64_t exit_code_ GUARDED_BY(lock_) = 0;
    uint64_t id_;
    uint32_t cursor_ = 0;  // of close_handles
    EndWork work_;
    EndGrace grace_;
};

}  // namespace annulus::kernel
