// SPDX-License-Identifier: MIT
// The scheduler: 64 priorities, first in first out within one, a run queue for each CPU.
//
// The highest ready priority runs; equals share the CPU by time slices. A time slice is armed only
// while somebody else of the same priority waits (tickless). Whoever runs next without being
// preempted for it is lent the rest of the slice. A CPU that runs out of work takes some from
// another.
#pragma once

#include "kernel/assert.h"
#include "kernel/schedule/cpu.h"
#include "kernel/schedule/grace_period.h"
#include "kernel/schedule/thread.h"

#include "arch/switch.h"

namespace annulus::kernel {

inline constexpr uint64_t default_slice_ns = 5'000'000;

// Makes a blocked thread ready, on an idle CPU that it may use, or else where it ran last, and
// signals that CPU if it should switch. The caller has won the thread's wait. Any context; locks
// held must rank below `run_queue`.
void make_ready(Thread& thread);

// Gives the CPU to the most urgent thread, or idles. What ran before has been put where it belongs
// (a queue, an object, nowhere). No locks held.
[[noreturn]] void schedule();

// Goes to user mode as `thread`, at once: it is in no run queue. Loads its page table and bases.
[[noreturn]] void switch_to(Thread& thread);

// The end of switch_to and of a system call that goes on: by thread.resume.
[[noreturn]] void return_to_thread(Thread& thread);

// Where it was in user mode, as the ways back take it.
inline const arch::ReturnState& return_state(const Thread& thread) {
    // Safety: a ReturnState is these three words and nothing else.
    return reinterpret_cast<const arch::ReturnState&>(thread.user_rip);
}

// Keeps the registers of a preempted thread, and gives it back a clean vector state.
void save_preempted(Thread& thread, const arch::TrapFrame& frame);

// Ends the running thread, which is marked dying: its wait or long operation is undone.
[[noreturn]] void die_current(Thread& thread);

// Gives the CPU to `thread`, which was just unblocked by the running code, unless a ready thread is
// more urgent; then it queues. For direct hand-off.
[[noreturn]] void hand_off(Thread& thread);

// The way out of a slow system call whose thread goes on: settles grace periods, ends a thread that
// is dying, makes way as an interrupt would; returns when the caller should return to user mode.
// The thread's state is complete in its record (`resume`).
void leave_kernel_slowly(Thread& thread);
[[gnu::always_inline]] inline void leave_kernel(Thread& thread) {
    // Acquire: pairs with the release in kill_thread. Only this CPU sets its flag, or an interrupt
    // that comes when the kernel is left. Debug builds always look whether anything is held.
    if (debug_checks || grace_wanted() || thread.dying.load(std::memory_order_acquire) ||
        this_cpu().resched.load(std::memory_order_relaxed)) {
        leave_kernel_slowly(thread);
    }
}

// Whether the running thread has used up its time slice; false while none is running.
bool slice_is_over(const Cpu& cpu);

// Whether the running thread has to make way: to somebody more urgent, to an equal if its slice is
// over, or because it may not be on this CPU any more.
bool makes_way(Cpu& cpu, const Thread& thread, bool slice_over);

// Between two chunks of a system call that holds no pointers but what it has references to: lets
// interrupts in and grace periods end. False: somebody else wants the CPU, or the thread is to die;
// the call goes on later.
bool may_continue(Thread& thread);

// Puts the running thread, complete in its record, at the end of its priority and schedules.
[[noreturn]] void yield_current(Thread& thread);

// Puts the running thread, preempted and complete in its record, back into a queue that its
// affinity allows, in front of its priority or behind it, and schedules.
[[noreturn]] void preempt(Thread& thread, bool front);

// Changes the CPUs that a thread may run on; it moves at its next entry to the kernel.
void change_affinity(Thread& thread, uint64_t mask);

// Takes a thread out of its run queue if it is in one (to kill it). True if it was.
bool remove_ready(Thread& thread);

// Changes the effective priority; moves it within its run queue if ready.
void set_priority(Thread& thread, uint8_t priority);

// --- blocking

// Arms the thread's deadline timer on this CPU; never when deadline_never. When it fires,
// time_out_wait(thread) is called without locks.
void arm_deadline(Thread& thread, uint64_t deadline);
// Stops it; harmless when it is not armed or firing right now: deadline_came() is false then.
void disarm_deadline(Thread& thread);
// The deadline of the wait that it is in has passed. Only a hint but where the wait cannot end
// meanwhile: see Thread::wait_deadline.
bool deadline_came(const Thread& thread);

// A blocked thread is being killed: ends the wait if nobody else did. True: this call won; the
// wait's structures no longer name the thread; its status word is `error`; it is neither ready nor
// running: the caller makes it ready or buries it.
bool cancel_wait(Thread& thread, abi::Error error);
// The same for its timer, with timed_out. False also if the timer came too late for the wait that
// it was armed for: another one has begun.
bool time_out_wait(Thread& thread);
// Takes the thread out of the semaphores' queues that it was in for an earlier wait_any. It is in
// no wait, and will not be in another.
void leave_queues(Thread& thread);

// --- timers

// Adds to this CPU's wheel and sets the hardware timer if it is the earliest; `where` becomes this
// CPU. The timer is in no wheel.
void start_timer(Timer& timer, uint64_t deadline, Cpu*& where);
// Takes it out of `where`'s wheel. False: it was not there (never armed, fired or firing right
// now).
bool stop_timer(Timer& timer, Cpu* where);

// --- entry points

void scheduler_timer_interrupt(Cpu& cpu);

void scheduler_init(Cpu& cpu);
[[noreturn]] void idle_loop();

// Vectors of signals between CPUs.
inline constexpr unsigned vector_reschedule = 0xe8;
inline constexpr unsigned vector_grace = 0xe9;

}  // namespace annulus::kernel
