// SPDX-License-Identifier: MIT
// Taking a process apart, in chunks.
//
//   kill_threads   every thread is told to end; more cannot come
//   wait_threads   until the last one has left user mode
//   quiesce        a grace period: no CPU has the page table loaded, nobody is entering handles
//   close_handles  chunk by chunk; then no sweep looks at the table any more
//   unmap          chunk by chunk, page tables included
//   forget         a grace period: nobody looks at the handle table
//   gone           the table is freed, the exit watches fire
#include "kernel/object/process_end.h"

#include "kernel/assert.h"
#include "kernel/object/budget.h"
#include "kernel/schedule/scheduler.h"

namespace annulus::kernel {

const ObjectKind Process::kind_table = {abi::ObjectType::process, ProcessEnd::detach,
                                        ProcessEnd::die, ProcessEnd::destruct, ProcessEnd::unwatch};

Work::Step ProcessEnd::step(Work& work) {
    using Stage = Process::Stage;
    Process& process = *static_cast<Process::EndWork&>(work).process;
    switch (process.stage_) {
        case Stage::alive:
        case Stage::wait_threads:
        case Stage::gone: break;
        case Stage::kill_threads: return kill_threads(process);
        case Stage::quiesce: wait_grace(process, true); return Work::Step::done;
        case Stage::close_handles:
            if (process.handles.close_some(process.cursor_, abi::chunk_items)) {
                unlist_process(process);
                process.stage_ = Stage::unmap;
            }
            return Work::Step::more;
        case Stage::unmap:
            if (process.space.root() != 0 && !process.space.destroy_some()) {
                return Work::Step::more;
            }
            process.stage_ = Stage::forget;
            wait_grace(process, false);
            return Work::Step::done;
        case Stage::forget: return finish(process);
    }
    kernel_assert(false, "a process is taken apart in the wrong state");
    return Work::Step::done;
}

Work::Step ProcessEnd::kill_threads(Process& process) {
    for (unsigned i = 0; i < abi::chunk_items; ++i) {
        Thread* thread;
        abi::EndReason reason;
        uint64_t code;
        {
            SpinGuard guard(process.lock_);
            process.threads_.splice_back(process.stopped_);
            thread = process.threads_.pop_front();
            if (thread == nullptr) {
                const bool none = process.thread_count_ == 0;
                process.stage_ = none ? Process::Stage::quiesce : Process::Stage::wait_threads;
                return none ? Work::Step::more : Work::Step::done;
            }
            process.killed_.push_back(*thread);
            retain(*thread);
            reason = process.reason_;
            code = process.exit_code_;
        }
        kill_thread(*thread, reason, code);
        release(*thread);
    }
    return Work::Step::more;
}

void ProcessEnd::wait_grace(Process& process, bool flush) {
    process.grace_.flush = flush;
    grace_after(process.grace_);
}

void ProcessEnd::grace_ended(GraceItem& item) {
    Process& process = *static_cast<Process::EndGrace&>(item).process;
    if (process.stage_ == Process::Stage::quiesce) process.stage_ = Process::Stage::close_handles;
    reap(process.work_);
}

Work::Step ProcessEnd::finish(Process& process) {
    if (process.handles.entries() != nullptr) process.handles.destroy();
    {
        SpinGuard guard(process.lock_);
        process.stage_ = Process::Stage::gone;
    }
    process.exit_watches.fire_last();
    process.budget->dependent_gone(abi::ObjectType::process);
    if (process.unreferenced_) {
        process.exit_watches.clear();
        process.fault_watches.clear();
        finish_retire(process);
    } else {
        release(process);
    }
    return Work::Step::done;
}

bool ProcessEnd::detach(Object& object) {
    auto& process = static_cast<Process&>(object);
    if (process.stage_ == Process::Stage::gone) {
        process.exit_watches.clear();
        process.fault_watches.clear();
        return true;
    }
    // It never started: threads and the end hold references.
    {
        SpinGuard guard(process.lock_);
        process.end_locked(abi::EndReason::killed, 0);
        process.stage_ = Process::Stage::quiesce;
    }
    process.unreferenced_ = true;
    reap(process.work_);
    return false;
}

bool ProcessEnd::unwatch(Object& object) {
    auto& process = static_cast<Process&>(object);
    unsigned limit = abi::chunk_items;
    return process.exit_watches.clear_some(limit) && process.fault_watches.clear_some(limit);
}

void ProcessEnd::die(Object& object) {
    static_cast<Process&>(object).kill(abi::EndReason::budget_destroyed, 0);
}

void ProcessEnd::destruct(Object& object) { static_cast<Process&>(object).~Process(); }

}  // namespace annulus::kernel
