// SPDX-License-Identifier: MIT
// Grace periods on the machine: interrupts between CPUs, cached translations, calling items.
#include "kernel/schedule/grace.h"

#include "abi/limits.h"
#include "arch/interrupts.h"
#include "arch/tlb.h"
#include "kernel/assert.h"
#include "kernel/schedule/cpu.h"
#include "kernel/schedule/grace_period.h"
#include "kernel/schedule/reaper.h"
#include "kernel/schedule/scheduler.h"

namespace annulus::kernel {

// Changed under grace_lock; has its own rules for what is read without.
constinit GracePeriod grace_periods;

namespace {

constinit SpinLock grace_lock{LockRank::grace};
constinit GracePeriod& periods = grace_periods;

uint64_t online_mask() {
    uint64_t mask = 0;
    for (unsigned i = 0; i < online_cpus(); ++i) {
        if (cpu_at(i).online) mask |= uint64_t{1} << i;
    }
    return mask;
}

// Interrupts the CPUs of `mask` other than this one. It passes at its next grace_settle().
void interrupt_others(uint64_t mask) {
    const unsigned here = this_cpu().local.index;
    for (unsigned i = 0; mask != 0; ++i, mask >>= 1) {
        if ((mask & 1) != 0 && i != here) arch::send_ipi(i, vector_grace);
    }
}

// No program runs on this CPU: its page table may be one that is going away.
void leave_page_table(Cpu& cpu) {
    const arch::PhysicalAddress root = arch::kernel_page_table();
    if (cpu.loaded_root == root) return;
    cpu.loaded_root = root;
    arch::load_page_table(root);
}

// The CPU holds no pointers: passes, if a period waits for it.
void pass(Cpu& cpu) {
    if (!periods.missing(cpu.local.index)) return;
    if (cpu.current == nullptr) {
        leave_page_table(cpu);
    } else if (periods.flush()) {
        arch::invalidate_user_pages();
    }
    uint64_t to_interrupt = 0;
    {
        SpinGuard guard(grace_lock);
        if (periods.pass(cpu.local.index)) to_interrupt = periods.begin(online_mask());
    }
    interrupt_others(to_interrupt);
}

// Calls up to chunk_items items whose period has ended; true when there is none left.
bool call_ended() {
    for (unsigned i = 0; i < abi::chunk_items; ++i) {
        GraceItem* item;
        {
            SpinGuard guard(grace_lock);
            item = periods.take_ended();
        }
        if (item == nullptr) return true;
        item->done(*item);
    }
    return !periods.any_ended();
}

constinit Work call_work;
constinit std::atomic<bool> call_queued{false};

Work::Step call_step(Work&) {
    if (!call_ended()) return Work::Step::more;
    // Release: pairs with the acquire in call_some().
    call_queued.store(false, std::memory_order_release);
    return Work::Step::done;
}

// What does not fit in one chunk is left to the reaper.
void call_some() {
    if (!periods.any_ended() || call_ended()) return;
    // Acquire: pairs with the release in call_step(): the work item is free.
    if (call_queued.exchange(true, std::memory_order_acquire)) return;
    call_work.step = call_step;
    call_work.priority = abi::priority_count - 1;
    reap(call_work);
}

}  // namespace

void grace_after(GraceItem& item) {
    uint64_t to_interrupt;
    {
        SpinGuard guard(grace_lock);
        periods.add(item);
        to_interrupt = periods.begin(online_mask());
    }
    interrupt_others(to_interrupt);
}

void grace_settle_wanted(Cpu& cpu) {
    if constexpr (debug_checks) {
        kernel_assert(!periods.asleep(cpu.local.index), "a CPU that sleeps is at work");
        kernel_assert(cpu.held_ranks.none(), "pointers may be held: a lock is");
    }
    // What is called may begin a period, which this CPU has to pass, too.
    constexpr unsigned rounds_max = 4;
    for (unsigned round = 0; round < rounds_max; ++round) {
        pass(cpu);
        call_some();
        if (!periods.missing(cpu.local.index)) return;
    }
    // Not now; but not never: whatever this CPU does next, it comes by here soon.
    arch::send_ipi(cpu.local.index, vector_grace);
}

void grace_sleep(Cpu& cpu) {
    leave_page_table(cpu);
    periods.sleep(cpu.local.index);
}

void grace_wake(Cpu& cpu) {
    // No translations to drop: it slept on the kernel's page table.
    periods.wake(cpu.local.index);
}

bool grace_idle() {
    SpinGuard guard(grace_lock);
    return periods.idle();
}

}  // namespace annulus::kernel
