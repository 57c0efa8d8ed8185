// SPDX-License-Identifier: MIT
// Leaving the kernel after a system call, and starting over on the kernel stack.
#pragma once

#include "arch/cpu.h"

#include <stdint.h>

namespace annulus::arch {

// The fast paths of system calls write segment bases by instruction.
inline bool fast_paths_available() { return cpu_features().fsgsbase; }

// The registers that SYSRET restores from.
struct ReturnState {
    uint64_t rip;
    uint64_t rflags;
    uint64_t rsp;
};

// Sets the stack pointer and jumps; nothing below it survives.
[[noreturn]] inline void jump_on_stack(uint64_t stack_top, void (*function)()) {
    // Safety: the stack of this CPU, whose contents the caller has given up. The pushed zero ends
    // backtraces and aligns the stack as after a call.
    asm volatile(
        "movq %0, %%rsp\n\t"
        "xorl %%ebp, %%ebp\n\t"
        "pushq $0\n\t"
        "jmpq *%1"
        :
        : "r"(stack_top), "r"(function)
        : "memory");
    __builtin_unreachable();
}

// To user mode with the 13 message registers of `message` (kernel::Message's order), all others
// zero. The instruction pointer is below the user limit (Intel SDM vol. 2, SYSRET).
extern "C" [[noreturn]] void return_with_message(const void* message, const ReturnState* state);
// The same but rdi, r14, r15 and rbp zero.
extern "C" [[noreturn]] void return_with_results(const void* message, const ReturnState* state);
// The same with rax, rdx and rbp only, and every other register zero.
extern "C" [[noreturn]] void return_with_status(const void* message, const ReturnState* state);

}  // namespace annulus::arch
