// SPDX-License-Identifier: MIT
// The list of all processes and the sweeper.
#include "kernel/object/process_list.h"

#include "abi/limits.h"
#include "kernel/lock/spin_lock.h"
#include "kernel/object/process.h"
#include "kernel/schedule/reaper.h"

namespace annulus::kernel {

namespace {

constinit SpinLock list_lock{LockRank::process};
constinit IntrusiveList<Process, ListedProcess> processes;
constinit IntrusiveList<HandleSweep, SweepLink> next_sweeps;
constinit IntrusiveList<HandleSweep, SweepLink> current_sweeps;
constinit Work sweep_work;
constinit bool sweeping = false;
// Where the sweep is: the process, or null at the end, and the slot.
constinit Process* at = nullptr;
constinit uint32_t slot = 0;

// Starts a sweep for everybody who asked so far; false when nobody did.
bool begin_locked() REQUIRES(list_lock) {
    if (next_sweeps.empty()) return false;
    current_sweeps.splice_back(next_sweeps);
    sweep_work.priority = current_sweeps.front()->priority;
    at = processes.front();
    slot = 0;
    return true;
}

Work::Step finish_some() {
    for (unsigned i = 0; i < abi::chunk_items; ++i) {
        HandleSweep* sweep;
        {
            SpinGuard guard(list_lock);
            sweep = current_sweeps.pop_front();
            if (sweep == nullptr) {
                sweeping = begin_locked();
                return sweeping ? Work::Step::more : Work::Step::done;
            }
        }
        sweep->done(*sweep);
    }
    return Work::Step::more;
}

Work::Step sweep_step(Work&) {
    Process* process;
    uint32_t cursor;
    {
        SpinGuard guard(list_lock);
        process = at;
        cursor = slot;
    }
    if (process == nullptr) return finish_some();
    // Without a reference: the process was listed, so its table lasts until a grace period from
    // now.
    const bool end = process->handles.drop_dead(cursor, abi::chunk_items);
    if (end) process->rings.note_handle_closed();
    SpinGuard guard(list_lock);
    if (at != process) return Work::Step::more;  // it was unlisted meanwhile
    if (end) {
        at = processes.next(*process);
        cursor = 0;
    }
    slot = cursor;
    return Work::Step::more;
}

}  // namespace

void sweep_dead_handles(HandleSweep& sweep) {
    {
        SpinGuard guard(list_lock);
        next_sweeps.push_back(sweep);
        if (sweeping) return;
        sweeping = begin_locked();
    }
    sweep_work.step = sweep_step;
    reap(sweep_work);
}

void list_process(Process& process) {
    SpinGuard guard(list_lock);
    processes.push_back(process);
}

void unlist_process(Process& process) {
    SpinGuard guard(list_lock);
    if (!processes.is_linked(process)) return;
    if (at == &process) {
        at = processes.next(process);
        slot = 0;
    }
    processes.remove(process);
}

}  // namespace annulus::kernel
