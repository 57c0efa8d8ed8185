// SPDX-License-Identifier: MIT
// Traps that arrive in kernel mode or on a stack of their own.
#include "arch/trap.h"

#include "arch/cpu.h"
#include "arch/interrupts.h"
#include "kernel/arch/x86_64/debug/stop.h"
#include "kernel/panic.h"

namespace {

using annulus::arch::Exception;
using annulus::arch::TrapFrame;

struct ExceptionEntry {
    uint64_t fault, resume;
    uint64_t resolves;  // 0: continues at `resume` whatever the reason
};

}  // namespace

extern "C" const ExceptionEntry exception_table_begin[], exception_table_end[];

namespace annulus::arch {

namespace {

const char* name_of(uint64_t vector) {
    switch (static_cast<Exception>(vector)) {
        case Exception::divide: return "divide error";
        case Exception::debug: return "debug exception";
        case Exception::non_maskable: return "non-maskable interrupt";
        case Exception::breakpoint: return "breakpoint";
        case Exception::invalid_opcode: return "invalid opcode";
        case Exception::double_fault: return "double fault (stack overflow?)";
        case Exception::stack_segment: return "stack fault";
        case Exception::general_protection: return "general protection fault";
        case Exception::page_fault: return "page fault";
        case Exception::machine_check: return "machine check";
        default: return "unexpected exception";
    }
}

// True when the frame was changed so that returning recovers.
bool recover(TrapFrame& frame, uint64_t address) {
    for (const ExceptionEntry* entry = exception_table_begin; entry != exception_table_end;
         ++entry) {
        if (entry->fault != frame.rip) continue;
        if (entry->resolves == 0 || !kernel_resolve_user_fault(address, frame.error)) {
            frame.rip = entry->resume;
        }
        return true;
    }
    return false;
}

}  // namespace

// Called by trap_entry.S.
extern "C" void arch_trap_from_kernel(TrapFrame& frame);
extern "C" void arch_trap_on_own_stack(TrapFrame& frame);

void arch_trap_from_kernel(TrapFrame& frame) {
    if (frame.vector == vector_spurious) return;
    if (frame.vector >= exception_count)
        return kernel_interrupt(static_cast<unsigned>(frame.vector));
    const uint64_t address = page_fault_address();
    if (frame.vector == static_cast<uint64_t>(Exception::page_fault)) {
        if (recover(frame, address)) return;
        kernel::panic_at(frame, "page fault in the kernel: address {x}, error {x}", address,
                         frame.error);
    }
    kernel::panic_at(frame, "{} in the kernel: vector {}, error {x}", name_of(frame.vector),
                     frame.vector, frame.error);
}

void arch_trap_on_own_stack(TrapFrame& frame) {
    // A stopping CPU asks the others to stop this way; any other NMI is ignored: nothing else in
    // the kernel raises one, and a machine's spurious one is no reason to die.
    if (frame.vector == static_cast<uint64_t>(Exception::non_maskable)) {
        if (machine_is_stopping()) stop_this_cpu();
        return;
    }
    kernel::panic_at(frame, "{}: error {x}", name_of(frame.vector), frame.error);
}

}  // namespace annulus::arch
