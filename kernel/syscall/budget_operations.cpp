// SPDX-License-Identifier: MIT
// Operations on budgets, except the making of memory (memory_operations.cpp).
#include "abi/operations.h"
#include "kernel/memory/kernel_memory.h"
#include "kernel/object/budget.h"
#include "kernel/object/process.h"
#include "kernel/object/semaphore.h"
#include "kernel/object/table.h"
#include "kernel/object/timer_object.h"
#include "kernel/schedule/cpu.h"
#include "kernel/syscall/invocation.h"

#include "arch/clock.h"

namespace annulus::kernel {

namespace {

constexpr uint64_t process_handles_min = 16;
constexpr uint64_t withhold_cycle_counter = 1;

template <typename T>
Status hand_over(Invocation& invocation, Ref<T> made) {
    invocation.set_results(0);
    return invocation.give(0, std::move(made), abi::all_rights).status();
}
template <typename T>
Status hand_over(Invocation& invocation, Result<Ref<T>> made) {
    if (!made.ok()) return made.status();
    return hand_over(invocation, std::move(*made));
}

// --- tables and processes of which more than one chunk is to be prepared: progress = the object

template <typename T>
T& held(Thread& thread) {
    // Safety: the handler that set the operation up put a T* there, with a reference.
    return *reinterpret_cast<T*>(thread.progress[0]);
}

template <typename T>
void abandon(Thread& thread) {
    release(held<T>(thread));
}

// Hands the finished object over and ends the operation, or ends it with the status.
template <typename T>
[[noreturn]] void finish_with(Thread& thread, Status status) {
    auto made = Ref<Object>::adopt(held<T>(thread));
    if (!status.ok()) {
        made.reset();
        finish_operation(thread, status);
    }
    const auto given = thread.process->handles.insert(std::move(made), abi::all_rights, 0, false);
    if (!given.ok()) finish_operation(thread, given.status());
    finish_operation(thread, {}, *given, 0, 1);
}

void pin_step(Thread& thread);
constexpr LongOperation pin_operation = {pin_step, abandon<Table>};
void pin_step(Thread& thread) {
    const auto pinned = held<Table>(thread).pin_some();
    if (pinned.ok() && !*pinned) continue_later(thread, pin_operation);
    finish_with<Table>(thread, pinned.status());
}

void prepare_step(Thread& thread);
constexpr LongOperation prepare_operation = {prepare_step, abandon<Process>};
void prepare_step(Thread& thread) {
    const auto prepared = held<Process>(thread).prepare_some();
    if (prepared.ok() && !*prepared) continue_later(thread, prepare_operation);
    finish_with<Process>(thread, prepared.status());
}

void read_machine_ledger(Budget& root, abi::MachineLedger& to) {
    abi::BudgetLedger charged;
    root.read_ledger(charged);
    constexpr auto pages = static_cast<unsigned>(abi::Resource::pages);
    to = {};
    to.total = page_allocator().total_pages();
    to.free = page_allocator().free_pages();
    to.kernel_heap = object_heap().ledger().pages;
    to.kernel_static = kernel_static_pages();
    to.charged = charged.used[pages] + charged.lent[pages];
    to.cpus = online_cpus();
    const uint64_t now = arch::now_ns();
    for (unsigned i = 0; i < to.cpus; ++i) {
        to.idle_ns += cpu_at(i).idle_time.total(now);
        // Written by that CPU only: figures for reports.
        to.wakeups += __atomic_load_n(&cpu_at(i).wakeups, __ATOMIC_RELAXED);
        const CpuCounters& counted = cpu_at(i).counters;
        to.kernel_entries += __atomic_load_n(&counted.kernel_entries, __ATOMIC_RELAXED);
        to.page_table_loads += __atomic_load_n(&counted.page_table_loads, __ATOMIC_RELAXED);
        to.faults += __atomic_load_n(&counted.faults, __ATOMIC_RELAXED);
    }
}

}  // namespace

Status budget_create_semaphore(Invocation& invocation) {
    const uint64_t mode = invocation.words[0];
    const uint64_t initial = invocation.words[1];
    MemoryObject* memory = TRY(invocation.optional<MemoryObject>(2));
    const uint64_t offset = invocation.words[3];
    if (mode > abi::semaphore_sequence) return invocation.bad(0);
    const auto made = Semaphore::create(invocation.object<Budget>(),
                                        static_cast<SemaphoreMode>(mode), initial, memory, offset);
    if (!made.ok()) return made.status();
    return hand_over(invocation, Ref<Semaphore>::adopt(**made));
}

Status budget_create_table(Invocation& invocation) {
    MemoryObject* memory = TRY(invocation.optional<MemoryObject>(2));
    auto table =
        TRY(Table::create(invocation.object<Budget>(), invocation.words[0], invocation.words[1],
                          memory, invocation.words[3], invocation.process));
    if (TRY(table->pin_some())) return hand_over(invocation, std::move(table));
    invocation.caller.progress[0] = reinterpret_cast<uint64_t>(table.leak());
    continue_later(invocation.caller, pin_operation);
}

Status budget_create_process(Invocation& invocation) {
    const uint64_t handles = invocation.words[0];
    const uint64_t flags = invocation.words[1];
    if (handles < process_handles_min || handles > abi::process_handles_max) {
        return invocation.bad(0);
    }
    if ((flags & ~withhold_cycle_counter) != 0) return invocation.unknown_flags(1);
    auto process = TRY(Process::create(invocation.object<Budget>(), static_cast<uint32_t>(handles),
                                       (flags & withhold_cycle_counter) != 0));
    if (TRY(process->prepare_some())) return hand_over(invocation, std::move(process));
    invocation.caller.progress[0] = reinterpret_cast<uint64_t>(process.leak());
    continue_later(invocation.caller, prepare_operation);
}

Status budget_create_budget(Invocation& invocation) {
    abi::BudgetLimits limits;
    TRY(invocation.read_record(limits));
    return hand_over(invocation, invocation.object<Budget>().create_child(limits));
}

Status budget_create_timer(Invocation& invocation) {
    Semaphore& semaphore = *TRY(invocation.operand<Semaphore>(0));
    return hand_over(invocation, TimerObject::create(invocation.object<Budget>(), semaphore));
}

Status budget_get_ledger(Invocation& invocation) {
    abi::BudgetLedger ledger;
    invocation.object<Budget>().read_ledger(ledger);
    invocation.set_results(0);
    return invocation.write_record(ledger).status();
}

Status budget_get_machine(Invocation& invocation) {
    Budget& budget = invocation.object<Budget>();
    if (budget.parent() != nullptr) return Error::wrong_state;
    abi::MachineLedger ledger;
    read_machine_ledger(budget, ledger);
    invocation.set_results(0);
    return invocation.write_record(ledger).status();
}

Status budget_remove_destroy(Invocation& invocation) {
    Semaphore* done = TRY(invocation.optional<Semaphore>(0));
    Ref<Semaphore> reference;
    if (done != nullptr) {
        // Merely looked up: its last handle may just have been closed.
        if (!try_retain(*done)) return Status(Error::bad_handle, 0, 1);
        reference = Ref<Semaphore>::adopt(*done);
    }
    const auto begun =
        invocation.object<Budget>().destroy(std::move(reference), *invocation.process.budget);
    invocation.set_results(0);
    return begun.status();
}

Status budget_watch_exhausted(Invocation& invocation) {
    Semaphore& semaphore = *TRY(invocation.operand<Semaphore>(0));
    const auto added = invocation.object<Budget>().exhausted_watches.add(*invocation.process.budget,
                                                                         semaphore, true);
    invocation.set_results(0);
    return added.status();
}

}  // namespace annulus::kernel
