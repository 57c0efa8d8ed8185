// SPDX-License-Identifier: MIT
// The reaper: a CPU's queue of work, and the task that does one step of it at a time.
#include "kernel/schedule/reaper.h"

#include "arch/cpu.h"
#include "kernel/schedule/cpu.h"
#include "kernel/schedule/scheduler.h"

namespace annulus::kernel {

namespace {

// Puts the CPU's reaper into the run queue at the priority of its most urgent item.
void make_reaper_ready_locked(Cpu& cpu) REQUIRES(cpu.work_lock) {
    const auto priority = static_cast<uint8_t>(cpu.work_priorities.highest());
    SpinGuard guard(cpu.queue_lock);
    if (cpu.run_queue.contains(cpu.reaper_node)) {
        if (cpu.reaper_node.priority >= priority) return;
        cpu.run_queue.remove(cpu.reaper_node);
    }
    cpu.reaper_node.priority = priority;
    cpu.run_queue.push_back(cpu.reaper_node);
}

void queue_locked(Cpu& cpu, Work& work) REQUIRES(cpu.work_lock) {
    cpu.work[work.priority].push_back(work);
    cpu.work_priorities.set(work.priority);
}

}  // namespace

void reap(Work& work) {
    Cpu& cpu = this_cpu();
    SpinGuard guard(cpu.work_lock);
    queue_locked(cpu, work);
    make_reaper_ready_locked(cpu);
    cpu.resched.store(true, std::memory_order_relaxed);
}

void reaper_run() {
    Cpu& cpu = this_cpu();
    Work* work = nullptr;
    {
        SpinGuard guard(cpu.work_lock);
        if (!cpu.work_priorities.empty()) {
            const uint32_t priority = cpu.work_priorities.highest();
            work = cpu.work[priority].pop_front();
            if (cpu.work[priority].empty()) cpu.work_priorities.clear(priority);
        }
    }
    cpu.working = true;
    const Work::Step step = work == nullptr ? Work::Step::done : work->step(*work);
    {
        SpinGuard guard(cpu.work_lock);
        if (step == Work::Step::more) queue_locked(cpu, *work);
        if (!cpu.work_priorities.empty()) make_reaper_ready_locked(cpu);
        cpu.working = false;
    }
    // Interrupts that came during the step: nothing is held here.
    arch::allow_interrupts();
    schedule();
}

bool reaper_idle() {
    for (unsigned i = 0; i < online_cpus(); ++i) {
        Cpu& cpu = cpu_at(i);
        SpinGuard guard(cpu.work_lock);
        if (cpu.working || !cpu.work_priorities.empty()) return false;
    }
    return true;
}

}  // namespace annulus::kernel
