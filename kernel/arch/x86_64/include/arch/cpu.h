// SPDX-License-Identifier: MIT
// The running CPU: features, interrupt flag, waiting, time-stamp counter, segment bases.
#pragma once

#include <stdint.h>

namespace annulus::arch {

// What the boot CPU offers; read once at boot. Every other CPU must offer the same. Long mode,
// no-execute pages, SYSCALL and FXSAVE are required and not listed.
struct CpuFeatures {
    bool huge_pages, global_pages;
    bool smep, smap, umip, fsgsbase, pcid;
    bool xsave, xsaveopt, x2apic, tsc_deadline, invariant_tsc;
    bool rdrand, hypervisor, meltdown;  // meltdown: may need split page tables
    uint32_t physical_bits;             // width of physical addresses
    uint64_t vector_components;         // XCR0; 0 without XSAVE
    uint32_t vector_state_size;         // bytes of a vector state area
};

const CpuFeatures& cpu_features();

inline void disable_interrupts() { asm volatile("cli" ::: "memory"); }
inline void enable_interrupts() { asm volatile("sti" ::: "memory"); }

inline bool interrupts_enabled() {
    uint64_t flags;
    asm volatile("pushfq; popq %0" : "=r"(flags));
    return (flags & 0x200) != 0;
}

// Sleeps until an interrupt was handled (kernel_interrupt) and returns with interrupts off. An
// interrupt that is already pending is handled without sleeping: STI takes effect after HLT began
// (Intel SDM vol. 2, STI).
inline void wait_for_interrupt() { asm volatile("sti; hlt; cli" ::: "memory"); }

// Lets pending interrupts in and returns with interrupts off: a preemption point.
inline void allow_interrupts() { asm volatile("sti; nop; cli" ::: "memory"); }

// Tells the CPU, and under emulation the host, that a loop is spinning.
inline void pause() { asm volatile("pause" ::: "memory"); }

inline uint64_t read_cycle_counter() {
    uint32_t low, high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return static_cast<uint64_t>(high) << 32 | low;
}

// A random word from the CPU, or a mixed cycle counter where it has none (then predictable).
uint64_t read_random();

// User segment bases of the running thread. Canonical addresses only. With FSGSBASE a program
// changes them itself, so they must be read back when a thread is preempted.
uint64_t read_fs_base();
void write_fs_base(uint64_t base);
uint64_t read_user_gs_base();
void write_user_gs_base(uint64_t base);

// Whether programs may read the cycle counter; per CPU, to be set at a switch.
void allow_cycle_counter(bool allowed);

// Stops this CPU for ever, interrupts off.
[[noreturn]] void halt_for_ever();

}  // namespace annulus::arch
