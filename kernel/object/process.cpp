// SPDX-License-Identifier: MIT
// Process: making one, its threads' coming and going, faults.
#include "kernel/object/process.h"

#include "arch/clock.h"
#include "arch/cpu.h"
#include "kernel/object/budget.h"
#include "kernel/object/fault_report.h"
#include "kernel/object/process_end.h"
#include "kernel/object/semaphore.h"
#include "kernel/schedule/scheduler.h"

namespace annulus::kernel {

namespace {

// Numbers are never used again.
constinit std::atomic<uint64_t> last_id{0};

// Without 128-bit division: cycles below a second are less than the frequency.
uint64_t cycles_to_ns(uint64_t cycles) {
    constexpr uint64_t ns_per_second = 1'000'000'000;
    const uint64_t frequency = arch::cycle_frequency();
    return cycles / frequency * ns_per_second + cycles % frequency * ns_per_second / frequency;
}

}  // namespace

Process::Process(Budget* payer, uint32_t size, bool withhold_cycles)
    : Object(kind_table, payer, size),
      withholds_cycles_(withhold_cycles),
      id_(last_id.fetch_add(1, std::memory_order_relaxed) + 1) {
    work_.process = this;
    work_.step = ProcessEnd::step;
    grace_.process = this;
    grace_.done = ProcessEnd::grace_ended;
}

Result<Ref<Process>> Process::create(Budget& budget, uint32_t handles, bool withhold_cycles) {
    Ref<Process> process = TRY(budget.create<Process>(withhold_cycles));
    TRY(HandleTable::create(process->handles, budget, handles));
    TRY(AddressSpace::create(process->space, budget, arch::read_random()));
    return process;
}

Result<bool> Process::prepare_some() {
    // Its end may free the table in a grace period from now.
    if (ended()) return Error::wrong_state;
    if (!handles.prepare_some()) return false;
    list_process(*this);
    return true;
}

void Process::end_locked(abi::EndReason reason, uint64_t code) {
    reason_ = reason;
    exit_code_ = code;
    stage_ = Stage::kill_threads;
    // Release: pairs with the acquire in ended().
    ended_.store(true, std::memory_order_release);
    const Thread* caller = this_cpu().current;
    work_.priority =
        caller == nullptr ? static_cast<uint8_t>(budget->priority_ceiling()) : caller->priority;
}

void Process::kill(abi::EndReason reason, uint64_t code) {
    {
        SpinGuard guard(lock_);
        if (ended_.load(std::memory_order_relaxed)) return;
        // The reference of the end's work. Merely looked up: without one left the process is on its
        // way out already.
        if (!try_retain(*this)) return;
        end_locked(reason, code);
    }
    // The first threads at once: most processes have few.
    if (ProcessEnd::step(work_) == Work::Step::more) reap(work_);
}

bool Process::add_thread(Thread& thread) {
    SpinGuard guard(lock_);
    if (ended_.load(std::memory_order_relaxed)) return false;
    retain(thread);
    threads_.push_back(thread);
    ++thread_count_;
    // Release: pairs with the acquire in started().
    started_.store(true, std::memory_order_release);
    return true;
}

void Process::thread_ended(Thread& thread) {
    bool begin = false;
    bool go_on = false;
    {
        SpinGuard guard(lock_);
        Threads::remove(thread);
        ended_cycles_ += thread.cpu_cycles;
        if (--thread_count_ == 0) {
            begin = !ended_.load(std::memory_order_relaxed);
            if (begin) end_locked(thread.end_reason, thread.exit_code);
            go_on = stage_ == Stage::wait_threads;
            if (go_on) stage_ = Stage::quiesce;
        }
    }
    if (begin) retain(*this);
    if (begin || go_on) reap(work_);
    release(thread);
}

// A destroyed budget's children are destroyed one after the other: what such a process misses first
// may be its parent's, and its own budget still be whole.
bool Process::loses_budget() const {
    for (const Budget* payer = budget; payer != nullptr; payer = payer->parent()) {
        if (payer->destroyed()) return true;
    }
    return false;
}

void Process::stop_at_fault(Thread& thread) {
    // On its way out already, and no fault of its own: it is neither stopped nor reported.
    if (loses_budget()) {
        kill(abi::EndReason::budget_destroyed, 0);
        exit_current(abi::EndReason::budget_destroyed, 0);
    }
    {
        SpinGuard guard(lock_);
        if (!fault_watches.empty() && !ended_.load(std::memory_order_relaxed)) {
            Threads::remove(thread);
            stopped_.push_back(thread);
            this_cpu().current = nullptr;
            // Release: whoever resumes or ends it sees all of its state. From here on another CPU
            // may have it.
            thread.status.store(ThreadStatus::stopped, std::memory_order_release);
            fault_watches.fire();
        }
    }
    if (this_cpu().current == nullptr) schedule();
    if (!ended()) report_fault(*this, thread);
    const abi::FaultKind fault = thread.fault;
    kill(abi::EndReason::faulted, static_cast<uint64_t>(fault));
    exit_current(abi::EndReason::faulted, static_cast<uint64_t>(fault));
}

Result<Ref<Thread>> Process::faulted_thread() {
    SpinGuard guard(lock_);
    for (unsigned i = 0; i < abi::chunk_items; ++i) {
        Thread* thread = stopped_.front();
        if (thread == nullptr) break;
        // Acquire: pairs with the release in stop_at_fault().
        if (thread->status.load(std::memory_order_acquire) == ThreadStatus::stopped) {
            return Ref<Thread>::share(*thread);
        }
        // It was resumed.
        stopped_.remove(*thread);
        threads_.push_back(*thread);
    }
    return Error::not_found;
}

Result<void> Process::watch_exit(Budget& budget, Semaphore& semaphore) {
    return exit_watches.add(budget, semaphore, false);
}

Result<void> Process::watch_fault(Budget& budget, Semaphore& semaphore) {
    SpinGuard guard(lock_);
    return fault_watches.add(budget, semaphore, true);
}

void Process::read_state(abi::ProcessState& to) {
    SpinGuard guard(lock_);
    uint64_t cycles = ended_cycles_;
    // A process with very many threads counts the time of the others when they end.
    unsigned count = 0;
    for (const Thread& thread : threads_) {
        if (++count > abi::chunk_items) break;
        cycles += thread.cpu_cycles;
    }
    to = {};
    to.reason = reason_;
    to.threads = thread_count_;
    to.exit_code = exit_code_;
    to.handles = handles.used();
    to.mapped_pages = space.mapped_pages();
    to.cpu_ns = cycles_to_ns(cycles);
}

}  // namespace annulus::kernel
