// SPDX-License-Identifier: MIT
// The registers of an interrupted context, as the trap stubs push them.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace annulus::arch {

// Lowest address first; the last five words are pushed by the CPU (Intel SDM vol. 3, 6.14.2).
// The assembly in trap_entry.S and the fast paths know this order.
struct TrapFrame {
    uint64_t r15, r14, r13, r12, rbp, rbx;
    uint64_t r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t vector;
    uint64_t error;  // 0 where the CPU pushes none
    uint64_t rip, cs, rflags, rsp, ss;

    bool from_user() const { return (cs & 3) != 0; }
};

static_assert(sizeof(TrapFrame) == 22 * 8 && offsetof(TrapFrame, vector) == 15 * 8 &&
              offsetof(TrapFrame, rip) == 17 * 8);

// Segment selectors; the order in the table is what SYSCALL and SYSRET demand
// (Intel SDM vol. 3, 5.8.8).
inline constexpr uint16_t kernel_code_selector = 0x08;
inline constexpr uint16_t kernel_data_selector = 0x10;
inline constexpr uint16_t user_data_selector = 0x1b;
inline constexpr uint16_t user_code_selector = 0x23;

// Flags that a user context may choose: CF PF AF ZF SF TF DF OF AC ID.
inline constexpr uint64_t user_flags_mask = 0x240dd5;
// Flags that every user context has: the fixed bit 1 and IF.
inline constexpr uint64_t user_flags_always = 0x202;

// Forces a frame into what user mode may be: user selectors, allowed flags, interrupts on, and an
// instruction pointer below the user limit (0 otherwise, which faults harmlessly in user mode).
// To be called for frames whose registers another process chose.
constexpr void sanitize_user_frame(TrapFrame& frame, uint64_t user_end) {
    frame.cs = user_code_selector;
    frame.ss = user_data_selector;
    frame.rflags = (frame.rflags & user_flags_mask) | user_flags_always;
    if (frame.rip >= user_end) frame.rip = 0;
}

}  // namespace annulus::arch
