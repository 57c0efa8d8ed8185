// SPDX-License-Identifier: MIT
// The architecture's part of the per-CPU area, which GS points to in kernel mode.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace annulus::arch {

struct TaskStateSegment;

// First member of the kernel's per-CPU structure, and known to assembly (offsets.cpp); written by
// arch code when the CPU starts, afterwards only user_rsp changes.
struct CpuLocal {
    CpuLocal* self;             // first, so that GS:0 gives a pointer
    uint64_t user_rsp;          // scratch of the system call entry
    uint64_t kernel_stack_top;  // 16-byte aligned; a TrapFrame from user mode ends here
    uint32_t index;             // 0 is the boot CPU
    uint32_t apic_id;
    TaskStateSegment* tss;
};
static_assert(offsetof(CpuLocal, self) == 0);

// The running CPU's area. Only in kernel mode.
inline CpuLocal& this_cpu() {
    CpuLocal* cpu;
    // Safety: GS base points to a CpuLocal whose first word points to itself. Not volatile: a CPU
    // never becomes another one while kernel code runs on it.
    asm("movq %%gs:0, %0" : "=r"(cpu));
    return *cpu;
}

}  // namespace annulus::arch

// Implemented by the portable kernel: storage of CPU `index`, 64-byte aligned, lives for ever, with
// a CpuLocal as first member. Called once a CPU: for 0 before any memory can be allocated (static
// storage), for the others on the boot CPU from start_other_cpus(). Null: this CPU stays off.
extern "C" annulus::arch::CpuLocal* kernel_cpu_area(unsigned index);
