// SPDX-License-Identifier: MIT
// Timers of a CPU: the wheel, the time slice and the one hardware timer under both.
#include "kernel/schedule/timers.h"

#include "arch/clock.h"
#include "arch/interrupts.h"

#include <algorithm>

namespace annulus::kernel {

namespace {

// The wheel's next work, looked at under its lock.
uint64_t next_timer(Cpu& cpu) {
    SpinGuard guard(cpu.timer_lock);
    return cpu.wheel.next_deadline();
}

void set_hardware(Cpu& cpu, uint64_t deadline) {
    if (deadline >= cpu.armed_deadline) return;  // an earlier interrupt looks again
    cpu.armed_deadline = deadline;
    arch::set_timer(deadline);
}

}  // namespace

void program_timer(Cpu& cpu) {
    const uint64_t slice = cpu.slice_end == 0 ? abi::deadline_never : cpu.slice_end;
    set_hardware(cpu, std::min(slice, next_timer(cpu)));
}

void start_timer(Timer& timer, uint64_t deadline, Cpu*& where) {
    Cpu& cpu = this_cpu();
    uint64_t next;
    {
        SpinGuard guard(cpu.timer_lock);
        cpu.wheel.add(timer, deadline, arch::now_ns());
        where = &cpu;
        next = cpu.wheel.next_deadline();
    }
    set_hardware(cpu, next);
}

bool stop_timer(Timer& timer, Cpu* where) {
    if (where == nullptr) return false;
    SpinGuard guard(where->timer_lock);
    return where->wheel.cancel(timer);
}

void arm_deadline(Thread& thread, uint64_t deadline) {
    // Relaxed: what the deadline is for orders it (Thread::wait_deadline).
    thread.wait_deadline.store(deadline, std::memory_order_relaxed);
    if (deadline == abi::deadline_never) return;
    thread.timer_armed.store(true, std::memory_order_relaxed);
    thread.add_slow_reason(SlowReason::timer);
    start_timer(thread.timer, deadline, thread.timer_cpu);
}

void disarm_deadline(Thread& thread) {
    thread.wait_deadline.store(abi::deadline_never, std::memory_order_relaxed);  // as above
    if (!thread.timer_armed.load(std::memory_order_relaxed)) return;
    thread.timer_armed.store(false, std::memory_order_relaxed);
    thread.remove_slow_reason(SlowReason::timer);
    stop_timer(thread.timer, thread.timer_cpu);
}

bool deadline_came(const Thread& thread) {
    return thread.wait_deadline.load(std::memory_order_relaxed) <= arch::now_ns();
}

void scheduler_timer_interrupt(Cpu& cpu) {
    cpu.armed_deadline = abi::deadline_never;
    const uint64_t now = arch::now_ns();
    uint32_t work = abi::chunk_items;
    while (work > 0) {
        Timer* timer;
        {
            SpinGuard guard(cpu.timer_lock);
            timer = cpu.wheel.take_due(now, work);
        }
        if (timer == nullptr) break;
        timer->callback(*timer);
    }
    // With work left over the next deadline is already due: the interrupt comes again at once,
    // after whatever else is pending.
    if (cpu.slice_end == 0 || now < cpu.slice_end) return program_timer(cpu);
    // A slice that is over is dealt with on the way out of the kernel. Another interrupt for it
    // would come at once wherever the kernel lets interrupts in, and nothing but them would run.
    cpu.resched.store(true, std::memory_order_relaxed);
    set_hardware(cpu, next_timer(cpu));
}

}  // namespace annulus::kernel
