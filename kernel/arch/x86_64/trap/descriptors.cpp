// SPDX-License-Identifier: MIT
// Segments, task state and interrupt descriptors of a CPU.
#include "kernel/arch/x86_64/trap/descriptors.h"

#include "arch/smp.h"
#include "arch/trap.h"
#include "kernel/arch/x86_64/cpu/registers.h"

#include <array>

extern "C" const char trap_stubs[];

namespace annulus::arch {

namespace {

// Entries in the order that SYSCALL and SYSRET compute selectors from (Intel SDM vol. 2, SYSRET):
// user data at STAR[63:48] + 8, user code at + 16. All are marked accessed beforehand.
struct Segments {
    uint64_t null = 0;
    uint64_t kernel_code = 0x00af9b000000ffff;
    uint64_t kernel_data = 0x00cf93000000ffff;
    uint64_t user_data = 0x00cff3000000ffff;
    uint64_t user_code = 0x00affb000000ffff;
    uint64_t task_low = 0, task_high = 0;
};
constexpr uint16_t task_selector = 0x28;

// Aligned so that no two CPUs share a cache line.
struct alignas(64) CpuTables {
    Segments segments;
    TaskStateSegment task;
};
constinit std::array<CpuTables, cpus_max> cpu_tables{};

// Intel SDM vol. 3, 6.14.1.
struct InterruptDescriptor {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t own_stack;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};
static_assert(sizeof(InterruptDescriptor) == 16);

[[gnu::section(".ro_after_boot")]] constinit std::array<InterruptDescriptor, 256> interrupt_table{};

struct [[gnu::packed]] TableRegister {
    uint16_t limit;
    uint64_t base;
};

// Entries of the interrupt stack table, from 1.
constexpr uint8_t own_stack_non_maskable = 1;
constexpr uint8_t own_stack_double_fault = 2;
constexpr uint8_t own_stack_machine_check = 3;

constexpr uint8_t own_stack_of(unsigned vector) {
    switch (static_cast<Exception>(vector)) {
        case Exception::non_maskable: return own_stack_non_maskable;
        case Exception::double_fault: return own_stack_double_fault;
        case Exception::machine_check: return own_stack_machine_check;
        default: return 0;
    }
}

// Programs may execute INT3 and INTO; every other vector is refused to the INT instruction.
constexpr bool user_may_raise(unsigned vector) {
    return vector == static_cast<unsigned>(Exception::breakpoint) ||
           vector == static_cast<unsigned>(Exception::overflow);
}

void load_segments(Segments& segments) {
    const TableRegister gdt{sizeof(Segments) - 1, reinterpret_cast<uint64_t>(&segments)};
    // Safety: the new table holds the same kernel segments; CS is reloaded by a far return. FS and
    // GS selectors become null: their bases are set through registers alone.
    asm volatile(
        "lgdt %0\n\t"
        "pushq %1\n\t"
        "leaq 1f(%%rip), %%rax\n\t"
        "pushq %%rax\n\t"
        "lretq\n"
        "1:\n\t"
        "movl %2, %%ss\n\t"
        "movl %3, %%ds\n\t"
        "movl %3, %%es\n\t"
        "movl %3, %%fs\n\t"
        "movl %3, %%gs\n\t"
        :
        : "m"(gdt), "i"(kernel_code_selector), "r"(uint32_t{kernel_data_selector}), "r"(0)
        : "rax", "memory");
}

void load_task(CpuTables& tables) {
    const auto base = reinterpret_cast<uint64_t>(&tables.task);
    tables.segments.task_low = (sizeof(TaskStateSegment) - 1) | (base & 0xffffff) << 16 |
                               uint64_t{0x89} << 40 | (base >> 24 & 0xff) << 56;
    tables.segments.task_high = base >> 32;
    asm volatile("ltr %0" ::"r"(task_selector) : "memory");
}

// The trap stub of these stacks finds the CPU's area in the word above its frame.
uint64_t mark_own_stack(uint64_t top, CpuLocal& cpu) {
    // Safety: the stack is this CPU's and not in use.
    *reinterpret_cast<CpuLocal**>(top - 16) = &cpu;
    return top - 16;
}

}  // namespace

void make_interrupt_table() {
    for (unsigned vector = 0; vector < 256; ++vector) {
        const auto entry = reinterpret_cast<uint64_t>(trap_stubs) + 16 * vector;
        interrupt_table[vector] = {
            .offset_low = static_cast<uint16_t>(entry),
            .selector = kernel_code_selector,
            .own_stack = own_stack_of(vector),
            // Present, interrupt gate: interrupts are off inside.
            .type = static_cast<uint8_t>(user_may_raise(vector) ? 0xee : 0x8e),
            .offset_middle = static_cast<uint16_t>(entry >> 16),
            .offset_high = static_cast<uint32_t>(entry >> 32),
            .reserved = 0,
        };
    }
}

void load_descriptors(CpuLocal& cpu, unsigned index, const CpuStacks& stacks) {
    CpuTables& tables = cpu_tables[index];
    tables.segments = Segments{};
    tables.task = TaskStateSegment{};
    tables.task.kernel_stack = stacks.kernel;
    tables.task.own_stacks[own_stack_non_maskable - 1] = mark_own_stack(stacks.non_maskable, cpu);
    tables.task.own_stacks[own_stack_double_fault - 1] = mark_own_stack(stacks.double_fault, cpu);
    tables.task.own_stacks[own_stack_machine_check - 1] = mark_own_stack(stacks.machine_check, cpu);
    tables.task.port_map_offset = sizeof(TaskStateSegment);  // no port is open to programs

    cpu.self = &cpu;
    cpu.kernel_stack_top = stacks.kernel;
    cpu.index = index;
    cpu.tss = &tables.task;

    load_segments(tables.segments);
    load_task(tables);
    const TableRegister idt{sizeof(interrupt_table) - 1,
                            reinterpret_cast<uint64_t>(interrupt_table.data())};
    // Safety: the table was filled by make_interrupt_table and lives for ever.
    asm volatile("lidt %0" ::"m"(idt) : "memory");
    write_msr(Msr::gs_base, reinterpret_cast<uint64_t>(&cpu));
    write_msr(Msr::kernel_gs_base, 0);
}

void enable_system_calls() {
    const uint64_t user_base = user_data_selector - 8;
    write_msr(Msr::star, user_base << 48 | uint64_t{kernel_code_selector} << 32);
    write_msr(Msr::lstar, reinterpret_cast<uint64_t>(&syscall_entry));
    write_msr(Msr::cstar, 0);
    // TF, IF, DF, NT and AC are clear in the kernel. As interrupts are off and debug registers are
    // never used, no trap arrives between SYSCALL and the switch of stacks.
    write_msr(Msr::syscall_mask, 1u << 8 | 1u << 9 | 1u << 10 | 1u << 14 | 1u << 18);
}

}  // namespace annulus::arch
