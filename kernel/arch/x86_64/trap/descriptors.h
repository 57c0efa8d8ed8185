// SPDX-License-Identifier: MIT
// Segments, task state and interrupt descriptors of a CPU.
#pragma once

#include "arch/cpu_local.h"

#include <stdint.h>

namespace annulus::arch {

// Intel SDM vol. 3, 8.7.
struct [[gnu::packed]] TaskStateSegment {
    uint32_t reserved0;
    uint64_t kernel_stack;  // rsp0
    uint64_t stack1, stack2;
    uint64_t reserved1;
    uint64_t own_stacks[7];  // interrupt stack table, from entry 1
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t port_map_offset;
};
static_assert(sizeof(TaskStateSegment) == 104);

// The tops of a CPU's stacks, 16-byte aligned.
struct CpuStacks {
    uint64_t kernel;
    uint64_t non_maskable, double_fault, machine_check;
};

// Fills the interrupt descriptor table that all CPUs share. Once, on the boot CPU, before the table
// becomes read-only.
void make_interrupt_table();

// Sets up this CPU's segments, task state, interrupt table and GS base. `cpu` is its area, fresh;
// its index and stack top are filled in. Again for other stacks: only the stacks change.
void load_descriptors(CpuLocal& cpu, unsigned index, const CpuStacks& stacks);

// Tells the CPU where system calls arrive and what they clear.
void enable_system_calls();

}  // namespace annulus::arch
