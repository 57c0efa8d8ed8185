// SPDX-License-Identifier: MIT
// Thread: making and ending threads.
#include "kernel/schedule/thread.h"

#include "arch/clock.h"
#include "arch/cpu.h"
#include "arch/interrupts.h"
#include "arch/switch.h"
#include "arch/vector_state.h"
#include "base/container_of.h"
#include "kernel/assert.h"
#include "kernel/memory/table_pages.h"
#include "kernel/object/process.h"
#include "kernel/object/semaphore.h"
#include "kernel/object/table.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/schedule/timers.h"
#include "kernel/syscall/invocation.h"

namespace annulus::kernel {

namespace {

void deadline_passed(Timer& timer) {
    Thread& thread = container_of(timer, &Thread::timer);
    if (time_out_wait(thread)) make_ready(thread);
}

// The thread has left user mode for ever and no structure names it but its process.
void bury(Thread& thread) {
    Table::leave_serving_list(thread);
    leave_queues(thread);
    thread.status = ThreadStatus::dead;
    thread.exit_watches.fire_last();
    thread.process->thread_ended(thread);
}

// One attempt to get hold of a dying thread that is not current here. True: it is buried, or will
// end itself.
bool try_to_end(Thread& thread) {
    if (thread.status == ThreadStatus::dead) return true;
    if (cancel_wait(thread, Error::cancelled) || remove_ready(thread)) {
        abandon_operation(thread);
        bury(thread);
        return true;
    }
    ThreadStatus stopped = ThreadStatus::stopped;
    // Acquire-release: against a resume at the same time: one of us gets it.
    if (thread.status.compare_exchange_strong(stopped, ThreadStatus::dead,
                                              std::memory_order_acq_rel)) {
        bury(thread);
        return true;
    }
    // It runs, or is on its way between two states: its CPU comes by the kernel and sees `dying`.
    Cpu* cpu = thread.cpu.load(std::memory_order_relaxed);
    if (cpu != nullptr && cpu != &this_cpu()) {
        arch::send_ipi(cpu->local.index, vector_reschedule);
    }
    return false;
}

Work::Step end_step(Work& work) {
    Thread& thread = container_of(work, &Thread::work);
    return try_to_end(thread) ? (release(thread), Work::Step::done) : Work::Step::more;
}

bool detach_thread(Object& object) {
    auto& thread = static_cast<Thread&>(object);
    thread.exit_watches.clear();
    free_table_pages(*thread.budget, thread.vector_area, 1);
    if (thread.any_links != nullptr) {
        thread.budget->free_bytes(thread.any_links, sizeof(AnyLink) * abi::wait_any_max);
    }
    thread.process->handles.unreserve(abi::moved_handles_max);
    thread.budget->uncharge(abi::Resource::threads, 1);
    Ref<Process>::adopt(*thread.process).reset();
    return true;
}

void die_thread(Object& object) {
    kill_thread(static_cast<Thread&>(object), abi::EndReason::budget_destroyed, 0);
}

void destruct_thread(Object& object) { static_cast<Thread&>(object).~Thread(); }

bool unwatch_thread(Object& object) {
    unsigned limit = abi::chunk_items;
    return static_cast<Thread&>(object).exit_watches.clear_some(limit);
}

const ObjectKind thread_kind = {abi::ObjectType::thread, detach_thread, die_thread, destruct_thread,
                                unwatch_thread};

void prepare(Thread& thread, const ThreadStart& start) {
    Process& process = *thread.process;
    thread.page_table = process.space.root();
    thread.handles = process.handles.entries();
    thread.signalled.entry = thread.waited.entry = thread.waited_set.entry = thread.handles;
    thread.entered.entry = thread.handles;
    thread.called.entry = thread.served.entry = thread.handles;
    // The fast paths do not switch what a thread without the cycle counter needs switched.
    const bool fast = !process.withholds_cycles() && arch::fast_paths_available();
    thread.fast_handle_count = fast ? process.handles.size() : 0;
    if (process.withholds_cycles()) thread.add_slow_reason(SlowReason::cycles);
    // As after a preemption, so that it starts with the clean vector state below, and not with what
    // another thread left behind in its system call.
    thread.frame.rip = start.entry;
    thread.frame.rsp = start.stack;
    thread.frame.rdi = start.argument;
    arch::sanitize_user_frame(thread.frame, abi::user_end);
    thread.fs_base = start.fs_base;
    thread.resume = Resume::frame;
    thread.ceiling = static_cast<uint8_t>(process.budget->priority_ceiling());
    thread.own_priority = start.priority;
    thread.priority = start.priority;
    thread.slice_percent = process.budget->cpu_weight();
    if (start.affinity != 0) thread.affinity = start.affinity;
    arch::init_vector_state(thread.vector_area);
}

}  // namespace

Thread::Thread(Budget* payer, uint32_t size, Process& owner)
    : Object(thread_kind, payer, size), slot(&no_slot), process(&owner) {
    retain(owner);
    link.thread = this;
    work.step = end_step;
    timer.callback = deadline_passed;
}

Result<Ref<Thread>> create_thread(Process& process, const ThreadStart& start) {
    if (start.entry < abi::user_begin || start.entry >= abi::user_end) {
        return Status(Error::bad_argument, 0);
    }
    if (start.fs_base >= abi::user_end) return Status(Error::bad_argument, 3);
    if (start.priority > process.budget->priority_ceiling()) {
        return Status(Error::bad_argument, 4);
    }
    const uint64_t online = (uint64_t{2} << (online_cpus() - 1)) - 1;
    if (start.affinity != 0 && (start.affinity & online) == 0) {
        return Status(Error::bad_argument, 5);
    }
    // Merely looked up: its last handle may just have been closed. The record's reference must not
    // be the first after none.
    if (!try_retain(process)) return Error::bad_handle;
    const auto held = Ref<Process>::adopt(process);
    Budget& budget = *process.budget;
    TRY(budget.charge(abi::Resource::threads, 1));
    // From here on each failure gives back what came before it.
    const auto reserved = process.handles.reserve(abi::moved_handles_max);
    auto area = reserved.ok() ? allocate_table_pages(budget, 1) : Result<void*>(reserved.status());
    auto thread = area.ok() ? budget.create<Thread>(process) : Result<Ref<Thread>>(area.status());
    if (!thread.ok()) {
        if (area.ok()) free_table_pages(budget, *area, 1);
        if (reserved.ok()) process.handles.unreserve(abi::moved_handles_max);
        budget.uncharge(abi::Resource::threads, 1);
        return thread.status();
    }
    Thread& made = **thread;
    made.vector_area = *area;
    // First: from here on the process waits for it with its end. Whoever kills it meanwhile tries
    // again until it is ready.
    if (!process.add_thread(made)) return Error::wrong_state;
    prepare(made, start);
    made.affinity = made.affinity & online;
    if (made.affinity != online) made.add_slow_reason(SlowReason::pinned);
    make_ready(made);
    return thread;
}

void kill_thread(Thread& thread, abi::EndReason reason, uint64_t code) {
    abi::EndReason alive = abi::EndReason::alive;
    // The first reason counts; it is seen by whoever sees `dying` (release below).
    if (!thread.end_reason.compare_exchange_strong(alive, reason, std::memory_order_relaxed)) {
        return;
    }
    thread.exit_code = code;
    // Release: pairs with the acquire in leave_kernel and switch_to.
    thread.dying.store(true, std::memory_order_release);
    if (&thread == this_cpu().current || try_to_end(thread)) return;
    retain(thread);
    thread.work.priority = abi::priority_count - 1;
    reap(thread.work);
}

void exit_current(abi::EndReason reason, uint64_t code) {
    Thread& thread = current_thread();
    kill_thread(thread, reason, code);
    die_current(thread);
}

void die_current(Thread& thread) {
    abandon_operation(thread);
    thread.wait_record.store(WaitRecord::dead, std::memory_order_relaxed);
    account_cycles(this_cpu());
    this_cpu().current = nullptr;
    bury(thread);
    schedule();
}

}  // namespace annulus::kernel
