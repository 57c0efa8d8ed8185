// SPDX-License-Identifier: MIT
// Thread: a register set, a priority, and what it waits for.
//
// States.  running: current on a CPU.  ready: in a run queue.  blocked: some object's structures
// name it (wait_kind says which).  stopped: a fault or its creator stopped it.  dead: it has left
// user mode for ever.
//
// A thread's registers are complete in this record before another CPU may find it in any queue, so
// it can be resumed elsewhere while the CPU that it left still runs kernel code.
//
// Exactly one party ends a wait: whoever changes `wait_record` from waiting to granted (a signal)
// or dead (deadline, kill); at a table, whoever finds the thread still waiting there under the
// table's lock or in its door. Only then may it touch the rest of the wait. A thread
// that is still queueing itself in several places (wait_any) is `arming`: it can be granted, which
// it finds out itself, but not cancelled. Its places outlast the wait, for the next one, and grant
// only the wait that they were last used for (WaitLink). Locking: fields of the wait belong to
// whoever made the state change; priority and CPU to the thread's own CPU or, while ready, to that
// run queue's lock.
#pragma once

#include "abi/records.h"
#include "abi/system_call.h"
#include "arch/trap_frame.h"
#include "kernel/object/object.h"
#include "kernel/object/watch.h"
#include "kernel/schedule/grace.h"
#include "kernel/schedule/reaper.h"
#include "kernel/schedule/run_queue.h"
#include "kernel/schedule/timer_wheel.h"

#include <stddef.h>
#include <stdint.h>

#include <atomic>

namespace annulus::kernel {

class HandleTable;
class Process;
class Semaphore;
class SemaphoreSet;
class Table;
struct Cpu;
struct HandleEntry;
class ServedObject;
struct LongOperation;
struct Thread;
struct RequestSlot;
struct ThreadOfProcess;
struct SemaphoreQueueLink;
struct TableServerLink;
struct TableThreadLink;

// An operation that goes on after its thread waited. Its progress lives in thread.progress[];
// references it holds there it gives back on every path: exactly one of the last `step` and
// `abandon` (the thread dies instead) does. Both run in the thread's own address space or, for
// abandon, anywhere; without locks.
struct LongOperation {
    void (*step)(Thread&);
    void (*abandon)(Thread&);
};
// Called for a thread that dies: abandons its operation, if any.
void abandon_operation(Thread& thread);

// The message registers of a system call. Assembly knows the order (fast_path.S).
struct Message {
    uint64_t rax, rdi, rsi, rdx, r8, r9, r10, r12, r13, r14, r15, rbx, rbp;
};
static_assert(sizeof(Message) == 13 * 8);

// The six operands or results of a call, which lie side by side in the message.
inline uint64_t (&words_of(Message& message))[abi::message_words] {
    static_assert(offsetof(Message, r13) == offsetof(Message, rdx) + 5 * sizeof(uint64_t));
    // Safety: a Message is thirteen words and nothing else; these are six of them.
    return *reinterpret_cast<uint64_t(*)[abi::message_words]>(&message.rdx);
}

// How a thread gets back to user mode.
enum class Resume : uint8_t {
    message = 0,       // all 13 message registers from `message`, by SYSRET
    results = 5,       // as message, but rdi, r14, r15 and rbp zero: a kernel object's answer
    status = 1,        // rax, rdx and rbp from `message`, the others zero, by SYSRET
    frame = 2,         // all registers from `frame`, vector state restored, by IRET
    unit = 4,          // as status, with rax zero: it was given a unit, or a set's event
    continuation = 3,  // runs `continuation` first, in the thread's own address space
};

// Why a thread is switched to by the slow paths only.
enum class SlowReason : uint8_t {
    timer = 1,    // its deadline timer has to be stopped
    pinned = 2,   // it may not run on every CPU
    cycles = 4,   // the cycle counter is withheld from it
    outcome = 8,  // it waits for a request with the outcome of a reply to be delivered
};

// What a blocked thread waits for, if it is not at a table.
enum class WaitKind : uint8_t {
    none,
    semaphore,  // links[0] is queued
    any,        // several links are queued
    set,        // `link` is queued on a semaphore set
    grace,      // for a grace period (unmap, revoke)
    work,       // for the reaper (long operation)
    ring,       // for completions of a ring (progress[0])
};

enum class ThreadStatus : uint8_t { running, ready, blocked, stopped, dead };

// Who won the wait, in the low 8 bits. Above them a grant carries the index of the link that won,
// so that both change at once; and `arming` and `waiting` which of its waits a thread is in, so
// that a timer which comes late does not end a later one, nor does a link of an earlier one.
enum class WaitRecord : uint64_t { idle = 0, arming = 1, waiting = 2, dead = 3, granted = 4 };

constexpr WaitRecord record_of(WaitRecord state, uint64_t above) {
    return static_cast<WaitRecord>(static_cast<uint64_t>(state) | above << 8);
}

constexpr bool is_waiting(WaitRecord record) {
    return (static_cast<uint64_t>(record) & 0xff) == static_cast<uint64_t>(WaitRecord::waiting);
}

constexpr WaitRecord granted_through(uint32_t index) {
    return record_of(WaitRecord::granted, index);
}
constexpr bool is_granted(WaitRecord record) {
    return (static_cast<uint64_t>(record) & 0xff) == static_cast<uint64_t>(WaitRecord::granted);
}
constexpr uint32_t granted_index(WaitRecord record) {
    return static_cast<uint32_t>(static_cast<uint64_t>(record) >> 8);
}

// One place in one semaphore's (or table's) queue. Guarded by that object's lock; `semaphore` is
// set while it stands in a semaphore's queue, and whoever takes it out clears it. So a thread that
// reads it non-null may take that semaphore's lock: the memory lasts until the kernel is left.
//
// A link of wait_any stays in the queue when the wait ends otherwise, and the next wait with that
// semaphore finds it there. Whoever takes it out clears `queued`, then looks at the record, then
// clears `semaphore`; a thread names its wait in `wait` and in the record, then looks at `queued`.
// So either it sees that it has to queue again, or the other one sees the new wait.
struct WaitLink : ListNode<SemaphoreQueueLink> {
    Thread* thread = nullptr;
    std::atomic<Semaphore*> semaphore{nullptr};
    std::atomic<bool> queued{false};
    std::atomic<uint64_t> wait{0};  // the wait that it may grant, as in the record
    uint64_t seen = 0;              // sequence mode
    uint32_t index = 0;             // in wait_any's list
};

// One of wait_any's, which also remembers what it waited for last: while `entry` has this word,
// `handle` names this semaphore, as with RecentHandle. If it is in a queue, then in that one's.
struct AnyLink : WaitLink {
    uint64_t handle = 0;
    const HandleEntry* entry;
    uint64_t word = ~uint64_t{0};  // as no entry has it
    Semaphore* named = nullptr;
};

// The handle that a thread used last for one purpose, and what it named. While the entry still has
// this word, it names the same object with the same rights: generations never come back, and a
// handle with a lease is not kept here. Only its owner reads and writes it.
struct RecentHandle {
    uint64_t handle = 0;
    const HandleEntry* entry = nullptr;
    uint64_t word = ~uint64_t{0};  // as no entry has it
    Object* object = nullptr;
    uint64_t rights = 0;  // of the word, as in a request's header

    void forget() { word = ~uint64_t{0}; }
};

struct Thread final : Object,
                      ListNode<ThreadOfProcess>,
                      ListNode<TableThreadLink>,
                      ListNode<TableServerLink>,
                      RunQueueNode {
    // Offsets of these are known to assembly (kernel/arch/x86_64/syscall).
    // Reasons why only the slow paths may switch to the thread: SlowReason bits. Beside the
    // priority, so that both are compared at once.
    std::atomic<uint8_t> slow_reasons{0};
    uint64_t user_rip = 0;
    uint64_t user_rflags = 0;
    uint64_t user_rsp = 0;
    uint64_t fs_base = 0;
    uint64_t gs_base = 0;
    uint64_t page_table = 0;         // physical root of the process
    HandleEntry* handles = nullptr;  // of the process; never changes
    uint32_t fast_handle_count = 0;  // slots of `handles`; 0 keeps the thread off the fast paths
    // The next four are written together by the fast paths (WaitState). Those of a table write none
    // of them: only `stopped` and `dead` can be relied upon.
    Resume resume = Resume::message;
    std::atomic<ThreadStatus> status{ThreadStatus::blocked};
    WaitKind wait_kind = WaitKind::none;
    uint8_t wait_padding = 0;
    // RunQueueNode::priority is the effective one, maybe lent. A server thread that waits keeps
    // what it was lent until it gets the next request.
    Relaxed<uint8_t> own_priority{0};
    uint32_t next_hops = 1 << hops_shift;  // of a request that it would make, as in its header
    // As a server: its links in WaitingList, and the slot that is reserved for it while it waits,
    // or that of the request it took last; `no_slot` if there is none. Never a slot of a table
    // other than `serving`.
    Relaxed<uint64_t> next_waiting{0};
    Thread* previous_waiting = nullptr;
    RequestSlot* slot;
    // As a client: the slot of the request whose answer it waits for. Set and cleared under the
    // lock of the slot's table or in its door.
    std::atomic<RequestSlot*> request{nullptr};
    std::atomic<Cpu*> cpu{nullptr};  // where it runs, or ran last
    Message message{};
    RecentHandle signalled, waited, waited_set, entered, called, served;
    // Not null while the door of that semaphore or set names the thread (kernel/object/door.h).
    // Then it waits, whatever the members above say; they are set when the holder of the object's
    // lock takes it from the door.
    std::atomic<Object*> alone_at{nullptr};

    // The rest is for C++ only.
    std::atomic<WaitRecord> wait_record{WaitRecord::idle};
    uint64_t waits = 0;          // the number of its last wait; changed by who sets up the next one
    Process* process = nullptr;  // holds a reference
    // The table whose list of servers it stands in; changed under that table's lock.
    std::atomic<Table*> serving{nullptr};
    // While it waits for a slot, has been granted one, or has bytes to copy out: the table, and the
    // slot if there is one. Changed under the table's lock.
    std::atomic<Table*> table{nullptr};
    RequestSlot* given = nullptr;
    void (*continuation)(Thread&) = nullptr;
    // Non-null while `continuation` is that of an operation that must be undone if the thread dies.
    const LongOperation* operation = nullptr;
    // Written by who begins or ends the wait; who holds the lock of a semaphore in whose queue the
    // thread still stands may look, while another ends its wait. Relaxed: then `wait_record`
    // decides.
    std::atomic<bool> timer_armed{false};
    // Written by whoever begins or ends the wait. A timer that fires late sees by this that the
    // thread is in a later wait: read under the lock of the table at which it waits, or between two
    // looks at the record.
    std::atomic<uint64_t> wait_deadline{abi::deadline_never};
    std::atomic<bool> dying{false};
    uint8_t ceiling = 0;
    uint64_t granted_value = 0;  // written by who granted, before make_ready
    Timer timer;
    Cpu* timer_cpu = nullptr;  // whose wheel the timer is in
    WaitLink link;             // for wait and signal_and_wait
    // While `link` stands in a set's queue; whoever takes it out, under the set's lock, clears it.
    std::atomic<SemaphoreSet*> waits_on_set{nullptr};
    AnyLink* any_links = nullptr;   // abi::wait_any_max of them, made at the first wait_any
    uint32_t any_count = 0;         // so many of them may stand in queues
    uint64_t reply_outcome = 0;     // of the reply half: status bits to be delivered
    ServedObject* calls = nullptr;  // waiting for a slot: holds a reference
    uint32_t calls_rights = 0;
    Status cancelled;  // what it sees when `table` was taken away from it
    Relaxed<uint64_t> affinity{~uint64_t{0}};
    uint32_t slice_percent = 100;  // of the default time slice (the budget's CPU weight)
    uint64_t slice_left = 0;       // of the time slice in which it was preempted; 0: a whole one
    Relaxed<uint64_t> cpu_cycles{0};
    void* vector_area = nullptr;
    arch::TrapFrame frame{};
    GraceItem grace;
    Work work;
    // A long operation's own progress, meaning what its continuation says.
    uint64_t progress[6] = {};
    uint8_t operation_number = 0;  // of its last operation in abi::operations; debug builds only

    // How it ended or stopped; written before the status changes.
    std::atomic<abi::EndReason> end_reason{abi::EndReason::alive};
    Relaxed<abi::FaultKind> fault{abi::FaultKind::none};
    Relaxed<uint64_t> fault_address{0};
    Relaxed<uint64_t> exit_code{0};
    WatchList exit_watches;

    // Of the request that it took last; 0: none.
    static constexpr unsigned hops_shift = 8;
    uint8_t hops() const { return static_cast<uint8_t>((next_hops >> hops_shift) - 1); }
    void set_hops(unsigned hops) { next_hops = (hops + 1) << hops_shift; }

    void add_slow_reason(SlowReason reason) {
        // Relaxed: read by whoever switches to the thread, which a lock or its wait record orders.
        slow_reasons.fetch_or(static_cast<uint8_t>(reason), std::memory_order_relaxed);
    }
    void remove_slow_reason(SlowReason reason) {
        slow_reasons.fetch_and(static_cast<uint8_t>(~static_cast<uint8_t>(reason)),
                               std::memory_order_relaxed);
    }

    // A wait for one thing, by `link`, can be ended from here on. Release: whoever ends it sees it
    // complete.
    void begin_wait() {
        link.wait.store(++waits, std::memory_order_relaxed);
        wait_record.store(record_of(WaitRecord::waiting, waits), std::memory_order_release);
    }
    // Ends the wait that it is in, if any. True: this call did, and what the record guards is the
    // caller's.
    bool win_wait(WaitRecord result) {
        WaitRecord seen = wait_record.load(std::memory_order_relaxed);
        while (is_waiting(seen)) {
            if (win_wait(seen, result)) return true;
            seen = wait_record.load(std::memory_order_relaxed);
        }
        return false;
    }
    // The same for the wait that had this record. Acquire-release: the winner sees the wait as it
    // was set up, and publishes what it ends with.
    bool win_wait(WaitRecord seen, WaitRecord result) {
        return is_waiting(seen) &&
               wait_record.compare_exchange_strong(seen, result, std::memory_order_acq_rel);
    }

    Thread(Budget* payer, uint32_t size, Process& process);
};

// Where a new thread begins.
struct ThreadStart {
    uint64_t entry, stack, argument, fs_base;
    uint8_t priority;
    uint64_t affinity;  // 0: any CPU
};

// Makes a thread of a process and starts it. Charges threads, the record and the vector area.
// no_budget, no_memory, wrong_state (process ended), bad_argument.
Result<Ref<Thread>> create_thread(Process& process, const ThreadStart& start);

// Ends the thread, whatever it does and wherever it is. Returns at once; the exit watches fire when
// it has left user mode for ever. The first reason counts.
void kill_thread(Thread& thread, abi::EndReason reason, uint64_t code);

// Ends the running thread. Does not return: the CPU goes on with another.
[[noreturn]] void exit_current(abi::EndReason reason, uint64_t code);

}  // namespace annulus::kernel
