// SPDX-License-Identifier: MIT
// Cpu: what belongs to one processor. GS points to it while the kernel runs.
#pragma once

#include "arch/cpu_local.h"
#include "kernel/boot_info.h"
#include "kernel/cpu_index.h"
#include "kernel/lock/spin_lock.h"
#include "kernel/schedule/idle_clock.h"
#include "kernel/schedule/run_queue.h"
#include "kernel/schedule/thread.h"
#include "kernel/schedule/timer_wheel.h"

namespace annulus::kernel {

#if ANNULUS_COUNTERS
inline constexpr bool counters = true;
#else
inline constexpr bool counters = false;
#endif

// Counted in the `counting` variant only.
struct CpuCounters {
    uint64_t kernel_entries = 0;
    uint64_t page_table_loads = 0;
    uint64_t faults = 0;
};

struct alignas(128) Cpu {
    arch::CpuLocal local{};
    // Offsets of these are known to assembly.
    Thread* current = nullptr;  // null: idle or a kernel task
    uint64_t loaded_root = 0;   // page table in CR3
    CpuCounters counters;

    // The run queue and what the scheduler keeps; lock rank `run_queue`.
    SpinLock queue_lock{LockRank::run_queue};
    RunQueue run_queue;
    uint64_t slice_end = 0;  // 0: no time slice is under way
    std::atomic<bool> resched{false};

    // Timers; lock rank `timer`. Armed: the deadline the hardware timer was set to.
    SpinLock timer_lock{LockRank::timer};
    TimerWheel wheel;
    uint64_t armed_deadline = ~uint64_t{0};

    // The reaper's items, one list for each priority; lock rank `reaper`.
    SpinLock work_lock{LockRank::reaper};
    IntrusiveList<Work, WorkLink> work[abi::priority_count];
    PriorityBitmap work_priorities;  // lists that are not empty
    bool working = false;            // a step is under way
    RunQueueNode reaper_node;        // in the run queue while there is work; queue_lock

    // The kernel's own account.
    IdleClock idle_time;
    uint64_t wakeups = 0;
    uint64_t slice_cycles = 0;  // cycle counter when `current` was switched in

    bool withholds_cycles = false;  // the cycle counter is withheld right now

    HeldRanks held_ranks;
    bool online = false;
};

// The running CPU.
inline Cpu& this_cpu() {
    // Safety: CpuLocal is Cpu's first member; GS points to it in kernel mode.
    return reinterpret_cast<Cpu&>(arch::this_cpu());
}

Cpu& cpu_at(unsigned index);
unsigned online_cpus();

inline Thread& current_thread() { return *this_cpu().current; }

}  // namespace annulus::kernel
