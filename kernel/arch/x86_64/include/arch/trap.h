// SPDX-License-Identifier: MIT
// Traps and interrupts: what the stubs call in the portable kernel, and the way back to user mode.
//
// Interrupts are off whenever kernel code runs, except where it says otherwise (wait_for_interrupt
// and preemption points), so a trap from kernel mode is an interrupt there, a page fault of the
// user-copy layer, or a bug. Non-maskable interrupts, double faults and machine checks have stacks
// of their own and never reach the portable kernel.
#pragma once

#include "arch/trap_frame.h"

#include <stdint.h>

namespace annulus::arch {

// Exception vectors (Intel SDM vol. 3, table 6-1).
enum class Exception : uint8_t {
    divide = 0,
    debug = 1,
    non_maskable = 2,
    breakpoint = 3,
    overflow = 4,
    bound = 5,
    invalid_opcode = 6,
    no_device = 7,
    double_fault = 8,
    invalid_tss = 10,
    segment_not_present = 11,
    stack_segment = 12,
    general_protection = 13,
    page_fault = 14,
    x87 = 16,
    alignment = 17,
    machine_check = 18,
    simd = 19,
    control_protection = 21,
};

inline constexpr unsigned exception_count = 32;

// Bits of a page fault's error code (Intel SDM vol. 3, 4.7).
inline constexpr uint64_t page_fault_present = 1;  // the page is there, the access is not allowed
inline constexpr uint64_t page_fault_write = 2;
inline constexpr uint64_t page_fault_user = 4;
inline constexpr uint64_t page_fault_execute = 16;

// The address of the last page fault. To be read before anything that may fault again.
inline uint64_t page_fault_address() {
    uint64_t address;
    asm volatile("movq %%cr2, %0" : "=r"(address));
    return address;
}

// Goes to user mode with all registers of `frame`, which may lie anywhere in kernel memory.
// Restores neither vector state nor FS and GS base. Interrupts must be off.
extern "C" [[noreturn]] void return_to_user(const TrapFrame& frame);

}  // namespace annulus::arch

// Implemented by the portable kernel. Any trap or interrupt (vector >= 32) from user mode. The
// frame is the top of the CPU's kernel stack, always at the same address; returning resumes it.
// Interrupts have not been acknowledged (arch::end_of_interrupt).
extern "C" void kernel_trap_from_user(annulus::arch::TrapFrame& frame);

// Implemented by the portable kernel. An interrupt that arrived in kernel mode where interrupts
// were on; not acknowledged yet; returning resumes what was interrupted.
extern "C" void kernel_interrupt(unsigned vector);

// Implemented by the portable kernel. The user-copy layer touched `address` and faulted. True: the
// page is there now, try again (on-demand memory). False: the copy returns false. Must not block.
extern "C" bool kernel_resolve_user_fault(uint64_t address, uint64_t error);

// Implemented by the portable kernel in assembly: where SYSCALL arrives. Interrupts off, DF, TF, AC
// and NT clear, user stack, user GS.
extern "C" void syscall_entry();
