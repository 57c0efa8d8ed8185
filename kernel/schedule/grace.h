// SPDX-License-Identifier: MIT
// Grace periods: when is memory that other CPUs may still be using free to be reused?
//
// Kernel code runs with interrupts off and keeps no pointer from one entry to the next, so a CPU
// that has handled an interrupt sent after an object was unhooked can no longer hold a pointer to
// it. A grace period sends one interrupt to every other running CPU and ends when all have handled
// it. The same interrupt drops cached translations, so it also serves as TLB shootdown, and it
// takes an idle CPU off the page table of a process that is going away. The fast paths pay nothing.
//
// Periods are batched: one is under way at a time, later requests join the next. With one CPU a
// period ends at the next settle().
// Locking: one lock (rank `grace`).
#pragma once

#include "base/intrusive_list.h"

namespace annulus::kernel {

struct GraceLink;
struct Cpu;

// Embedded in what waits; linked from grace_after() until `done` is called.
struct GraceItem : ListNode<GraceLink> {
    // Called once, without locks, on some CPU, interrupts off. May free the item.
    void (*done)(GraceItem&) = nullptr;
    bool flush = false;  // user translations must be dropped on every CPU, too
};

// Calls item.done after every CPU has left the kernel once. Any context without locks of rank
// `grace` or above.
void grace_after(GraceItem& item);

// Starts or finishes periods; calls done. For grace_settle() of grace_period.h, which is cheap when
// there is nothing to do.
void grace_settle_wanted(Cpu& cpu);

// An idle CPU counts as having left the kernel, and is not woken. It says so directly before it
// sleeps, interrupts off, and takes it back first thing in the interrupt that wakes it, before it
// looks at any object. A CPU that never says so is interrupted like the others.
void grace_sleep(Cpu& cpu);
void grace_wake(Cpu& cpu);

// True when no item waits (tests, exact ledgers).
bool grace_idle();

}  // namespace annulus::kernel
