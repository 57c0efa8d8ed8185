// SPDX-License-Identifier: MIT
// The kernel's hooks for host tests that have a KernelMachine: what hardware, the scheduler and the
// way back to user mode are there.
#include "arch/clock.h"
#include "arch/cpu.h"
#include "arch/interrupts.h"
#include "arch/switch.h"
#include "arch/tlb.h"
#include "arch/user_access.h"
#include "arch/vector_state.h"
#include "kernel/log.h"
#include "kernel/memory/region.h"
#include "kernel/object/fault_report.h"
#include "kernel/object/hardware.h"
#include "kernel/schedule/scheduler.h"
#include "tests/support/kernel_machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace annulus::arch {

uint64_t now_ns() { return test::KernelMachine::current->now.load(std::memory_order_relaxed); }

// Programs' memory is the test's own.
static std::byte* user_pointer(UserAddress address, size_t size) {
    const std::span<std::byte> window = test::KernelMachine::current->user_memory;
    // Safety: the test's, as far as it says what programs may name.
    auto* begin = reinterpret_cast<std::byte*>(address.value);
    if (window.empty()) return begin;
    const bool inside = begin >= window.data() && begin <= window.data() + window.size() &&
                        size <= static_cast<size_t>(window.data() + window.size() - begin);
    return inside ? begin : nullptr;
}
bool copy_from_user(void* to, UserAddress from, size_t size) {
    const std::byte* bytes = user_pointer(from, size);
    if (bytes != nullptr && size != 0) memcpy(to, bytes, size);
    return bytes != nullptr;
}
bool copy_to_user(UserAddress to, const void* from, size_t size) {
    std::byte* bytes = user_pointer(to, size);
    if (bytes != nullptr && size != 0) memcpy(bytes, from, size);
    return bytes != nullptr;
}

void return_with_results(const void*, const ReturnState*) {
    test::MachineThread::entered().leave(test::MachineThread::returned);
}

// Other CPUs notice by themselves.
void send_ipi(unsigned, unsigned) {}
void init_vector_state(void*) {}
uint64_t cycle_frequency() { return 1'000'000'000; }
uint64_t cycles_to_ns(uint64_t cycles) { return cycles; }
uint64_t read_random() { return 0x5eed; }
const CpuFeatures& cpu_features() {
    static constexpr CpuFeatures none{};
    return none;
}

}  // namespace annulus::arch

namespace annulus::kernel {

using test::KernelMachine;
using test::MachineThread;

void grace_after(GraceItem& item) { KernelMachine::current->add(item); }
void reap(Work& work) { KernelMachine::current->add(work); }

// --- the scheduler

void make_ready(Thread& thread) {
    MachineThread* owner = MachineThread::of(thread);
    if (owner != nullptr) return owner->wake();
    thread.status.store(ThreadStatus::ready, std::memory_order_relaxed);
    KernelMachine::current->add_newborn(thread);
}
bool remove_ready(Thread& thread) {
    MachineThread* owner = MachineThread::of(thread);
    return owner != nullptr ? owner->unwake() : KernelMachine::current->remove_newborn(thread);
}
void schedule() { MachineThread::entered().leave(MachineThread::blocked); }
void hand_off(Thread& thread) {
    make_ready(thread);
    schedule();
}
void yield_current(Thread& thread) {
    make_ready(thread);
    schedule();
}
bool may_continue(Thread&) { return true; }
void return_to_thread(Thread&) { MachineThread::entered().leave(MachineThread::returned); }
void leave_kernel_slowly(Thread& thread) {
    // Acquire: pairs with the release in kill_thread.
    if (thread.dying.load(std::memory_order_acquire)) die_current(thread);
}
void set_priority(Thread& thread, uint8_t priority) { thread.priority = priority; }
void change_affinity(Thread& thread, uint64_t mask) { thread.affinity = mask; }
void account_cycles(Cpu&) {}
uint32_t online_cpus() { return test::played_cpus_max; }
uint64_t kernel_static_pages() { return 0; }

// As kernel/schedule/timers.cpp, without a wheel.
void arm_deadline(Thread& thread, uint64_t deadline) {
    thread.wait_deadline.store(deadline, std::memory_order_relaxed);
    thread.timer_armed.store(deadline != abi::deadline_never, std::memory_order_relaxed);
}
void disarm_deadline(Thread& thread) {
    thread.wait_deadline.store(abi::deadline_never, std::memory_order_relaxed);
    thread.timer_armed.store(false, std::memory_order_relaxed);
}
bool deadline_came(const Thread& thread) {
    return thread.wait_deadline.load(std::memory_order_relaxed) <= arch::now_ns();
}

void start_timer(Timer& timer, uint64_t deadline, Cpu*& where) {
    where = &cpu_at(0);
    KernelMachine::current->start_timer(timer, deadline);
}
bool stop_timer(Timer& timer, Cpu* where) {
    return where != nullptr && KernelMachine::current->stop_timer(timer);
}

// --- what these tests do without: programs that run, devices, and a console

bool loaded_elsewhere(uint64_t) { return false; }
void give_back_registers(PhysicalRange) {}
void report_fault(Process&, const Thread&) {}
// The dispatcher's complaints about what abi/operations.h does not say.
void log_line(std::string_view line) {
    fprintf(stderr, "kernel: %.*s\n", static_cast<int>(line.size()), line.data());
    abort();
}

}  // namespace annulus::kernel

namespace annulus::arch {

PhysicalAddress kernel_page_table() { return test::KernelMachine::current->upper_half(); }
void invalidate_page(uint64_t) {}
void invalidate_user_pages() {}

}  // namespace annulus::arch
