// SPDX-License-Identifier: MIT
// Traps and interrupts: what becomes of them.
#include "arch/trap.h"

#include "arch/clock.h"
#include "arch/cpu.h"
#include "arch/interrupts.h"
#include "kernel/object/interrupt.h"
#include "kernel/object/process.h"
#include "kernel/panic.h"
#include "kernel/schedule/grace.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/schedule/timers.h"

namespace annulus::kernel {

namespace {

using arch::Exception;
using arch::TrapFrame;

void handle_interrupt(Cpu& cpu, unsigned vector) {
    switch (vector) {
        case arch::vector_timer: scheduler_timer_interrupt(cpu); break;
        case vector_reschedule: cpu.resched.store(true, std::memory_order_relaxed); break;
        case vector_grace: break;  // passed where no pointers are held
        case arch::vector_spurious: return;
        default: device_interrupt(vector); break;
    }
    arch::end_of_interrupt();
}

abi::FaultKind kind_of_page_fault(uint64_t error) {
    if ((error & arch::page_fault_execute) != 0) return abi::FaultKind::page_execute;
    return (error & arch::page_fault_write) != 0 ? abi::FaultKind::page_write
                                                 : abi::FaultKind::page_read;
}

abi::FaultKind kind_of(const TrapFrame& frame) {
    switch (static_cast<Exception>(frame.vector)) {
        case Exception::divide: return abi::FaultKind::divide;
        case Exception::debug: return abi::FaultKind::debug;
        case Exception::breakpoint: return abi::FaultKind::breakpoint;
        case Exception::overflow:
        case Exception::bound: return abi::FaultKind::overflow;
        case Exception::invalid_opcode:
        case Exception::no_device: return abi::FaultKind::invalid_instruction;
        case Exception::page_fault: return kind_of_page_fault(frame.error);
        case Exception::x87:
        case Exception::simd: return abi::FaultKind::floating_point;
        case Exception::alignment: return abi::FaultKind::alignment;
        default: return abi::FaultKind::protection;
    }
}

// A fault that the program did not survive by itself.
[[noreturn]] void stop_thread(Thread& thread, const TrapFrame& frame, abi::FaultKind kind,
                              uint64_t address) {
    save_preempted(thread, frame);
    thread.fault = kind;
    thread.fault_address = address;
    account_cycles(this_cpu());
    thread.process->stop_at_fault(thread);
}

void handle_exception(Thread& thread, const TrapFrame& frame) {
    abi::FaultKind kind = kind_of(frame);
    uint64_t address = frame.rip;
    if (static_cast<Exception>(frame.vector) == Exception::page_fault) {
        address = arch::page_fault_address();
        if constexpr (counters) ++this_cpu().counters.faults;
        const auto resolved = thread.process->space.resolve_fault(
            address, (frame.error & arch::page_fault_write) != 0,
            (frame.error & arch::page_fault_execute) != 0);
        // busy: the page waits for a grace period; the access is made again.
        if (resolved.ok() || resolved.error() == Error::busy) return;
        if (resolved.error() == Error::no_budget || resolved.error() == Error::no_memory) {
            kind = abi::FaultKind::no_memory;
        }
    }
    stop_thread(thread, frame, kind, address);
}

// Before a preempted thread goes on: what the interrupt left to do.
void leave_trap(Cpu& cpu, Thread& thread, const TrapFrame& frame) {
    grace_settle(cpu);
    // Acquire: pairs with the release in kill_thread.
    if (thread.dying.load(std::memory_order_acquire)) die_current(thread);
    const bool slice_over = slice_is_over(cpu);
    if (!cpu.resched.exchange(false, std::memory_order_relaxed) && !slice_over) return;
    const bool yields = makes_way(cpu, thread, slice_over);
    if (slice_over) cpu.slice_end = 0;
    if (yields) {
        save_preempted(thread, frame);
        preempt(thread, !slice_over);
    }
    watch_slice(cpu, thread);
}

}  // namespace
}  // namespace annulus::kernel

using namespace annulus;
using namespace annulus::kernel;

extern "C" void kernel_trap_from_user(arch::TrapFrame& frame) {
    Cpu& cpu = this_cpu();
    Thread& thread = *cpu.current;
    if constexpr (counters) ++cpu.counters.kernel_entries;
    if (frame.vector < arch::exception_count) {
        handle_exception(thread, frame);
    } else {
        handle_interrupt(cpu, static_cast<unsigned>(frame.vector));
    }
    leave_trap(cpu, thread, frame);
}

extern "C" void kernel_interrupt(unsigned vector) {
    Cpu& cpu = this_cpu();
    // Before any object is looked at: this may be the end of an idle CPU's sleep.
    grace_wake(cpu);
    handle_interrupt(cpu, vector);
}

extern "C" bool kernel_resolve_user_fault(uint64_t address, uint64_t error) {
    const Thread* thread = this_cpu().current;
    if (thread == nullptr) return false;
    return thread->process->space
        .resolve_fault(address, (error & arch::page_fault_write) != 0, false)
        .ok();
}
