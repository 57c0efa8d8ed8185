// SPDX-License-Identifier: MIT
// Switching to a thread: page table, segment bases, and the way its state says it returns.
#include "arch/switch.h"
#include "arch/clock.h"
#include "arch/cpu.h"
#include "arch/tlb.h"
#include "arch/trap.h"
#include "arch/vector_state.h"
#include "kernel/object/process.h"
#include "kernel/schedule/kernel_stack.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/schedule/timers.h"
#include "kernel/syscall/system_calls.h"

namespace annulus::kernel {

namespace {

void load_address_space(Cpu& cpu, const Thread& thread) {
    if (cpu.loaded_root == thread.page_table) return;
    cpu.loaded_root = thread.page_table;
    if constexpr (counters) ++cpu.counters.page_table_loads;
    arch::load_page_table(thread.page_table);
}

void load_bases(Cpu& cpu, const Thread& thread) {
    arch::write_fs_base(thread.fs_base);
    // Always: a program may have changed the base by itself.
    arch::write_user_gs_base(thread.gs_base);
    const bool withhold = thread.process->withholds_cycles();
    if (cpu.withholds_cycles != withhold) {
        cpu.withholds_cycles = withhold;
        arch::allow_cycle_counter(!withhold);
    }
}

}  // namespace

void return_to_thread(Thread& thread) {
    const arch::ReturnState& state = return_state(thread);
    if (thread.resume == Resume::message) [[likely]] {
        arch::return_with_message(&thread.message, &state);
    }
    switch (thread.resume) {
        case Resume::message: break;
        case Resume::results: arch::return_with_results(&thread.message, &state);
        case Resume::unit: thread.message.rax = 0; [[fallthrough]];
        case Resume::status: arch::return_with_status(&thread.message, &state);
        case Resume::frame:
            arch::restore_vector_state(thread.vector_area);
            arch::return_to_user(thread.frame);
        case Resume::continuation: thread.continuation(thread);
    }
    __builtin_unreachable();
}

void switch_to(Thread& thread) {
    Cpu& cpu = this_cpu();
    thread.status = ThreadStatus::running;
    thread.cpu.store(&cpu, std::memory_order_relaxed);
    cpu.current = &thread;
    cpu.slice_cycles = arch::read_cycle_counter();
    load_address_space(cpu, thread);
    load_bases(cpu, thread);
    // Acquire: pairs with the release in kill_thread.
    if (thread.dying.load(std::memory_order_acquire)) die_current(thread);
    watch_slice(cpu, thread);
    return_to_thread(thread);
}

void account_cycles(Cpu& cpu) {
    if (cpu.current == nullptr) return;
    const uint64_t now = arch::read_cycle_counter();
    cpu.current->cpu_cycles += now - cpu.slice_cycles;
    cpu.slice_cycles = now;
}

// A preempted thread: its registers are in the trap frame on this CPU's stack.
void save_preempted(Thread& thread, const arch::TrapFrame& frame) {
    thread.frame = frame;
    thread.resume = Resume::frame;
    thread.fs_base = arch::read_fs_base();
    thread.gs_base = arch::read_user_gs_base();
    arch::save_vector_state(thread.vector_area);
    // The next thread must not find this one's vector registers.
    arch::clear_vector_state();
}

}  // namespace annulus::kernel
