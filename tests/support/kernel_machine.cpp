// SPDX-License-Identifier: MIT
// KernelMachine. The kernel's hooks that end in it: machine_hooks.cpp.
#include "tests/support/kernel_machine.h"

#include "kernel/object/lease.h"
#include "kernel/object/stock.h"
#include "kernel/object/table.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/syscall/system_calls.h"
#include "tests/support/kernel_hooks.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include <chrono>

namespace annulus::test {
namespace {

constexpr std::chrono::seconds patience{20};

struct alignas(128) PlayedCpu {
    kernel::Cpu cpu;
    std::atomic<uint64_t> visits{0};  // to the kernel; odd: it is there
};
PlayedCpu cpus[played_cpus_max];

PlayedCpu& played_cpu() { return cpus[arch::cpu_index()]; }

void must(bool condition, const char* what) {
    if (condition) return;
    fprintf(stderr, "kernel machine: %s\n", what);
    abort();
}

// Until every CPU that is in the kernel now has left it.
void pass_grace_period() {
    uint64_t seen[played_cpus_max];
    // Acquire-release: who enters after this sees what was unhooked before, and this sees what was
    // done in the visits that are over. Pairs with InKernel.
    for (unsigned i = 0; i < played_cpus_max; ++i) {
        seen[i] = cpus[i].visits.fetch_add(0, std::memory_order_acq_rel);
    }
    for (unsigned i = 0; i < played_cpus_max; ++i) {
        if (seen[i] % 2 == 0) continue;
        while (cpus[i].visits.load(std::memory_order_acquire) == seen[i]) sched_yield();
    }
}

}  // namespace

// Acquire-release in both: see pass_grace_period().
InKernel::InKernel() {
    const uint64_t before = played_cpu().visits.fetch_add(1, std::memory_order_acq_rel);
    must(before % 2 == 0, "two threads play one CPU, or it enters the kernel twice");
}
InKernel::~InKernel() { played_cpu().visits.fetch_add(1, std::memory_order_acq_rel); }

// --- the machine

KernelMachine* KernelMachine::current = nullptr;

KernelMachine::KernelMachine(uint64_t pages)
    : arena_(PageArena::one_range(pages)), heap_(std::make_unique<kernel::ObjectHeap>()) {
    current = this;
    kernel::the_page_allocator = &arena_.pages();
    kernel::the_object_heap = heap_.get();
    heap_->init(arena_.pages(), 42);
    upper_half_ = arena_.pages().allocate_zeroed().value().address();
    abi::BudgetLimits limits{};
    for (uint64_t& amount : limits.amount) amount = uint64_t{1} << 40;
    limits.cpu_weight = 100;
    limits.priority_ceiling = 63;
    kernel::Budget::init_root(limits);
    for (unsigned i = 0; i < played_cpus_max; ++i) cpus[i].cpu.local.index = i;
    const InKernel here;
    process_ = kernel::Process::create(root(), 4096, false).value();
    while (!process_->prepare_some().value()) {
    }
    // Without any the process would end with each test's last one.
    keeper_ = kernel::create_thread(*process_, thread_start).value().get();
    must(newborn().get() == keeper_, "a thread was made, and is not ready");
}

KernelMachine::~KernelMachine() {
    {
        const InKernel here;
        process_->kill(abi::EndReason::killed, 0);
        for (auto& budget : budgets_) must(budget->destroy({}, root()).ok(), "no destruction");
    }
    budgets_.clear();
    process_.reset();
    settle();
    // Lists of what ended are the kernel's own, and must be empty for the next machine.
    kernel::free_retired_soon();
    kernel::empty_stocks();
    settle();
    kernel::empty_stocks();
    settle();
    abi::BudgetLedger ledger;
    root().read_ledger(ledger);
    for (unsigned i = 0; i < abi::resource_count; ++i) {
        if (ledger.used[i] == 0 && ledger.lent[i] == 0) continue;
        fprintf(stderr, "kernel machine: resource %u: %llu are still charged, %llu lent\n", i,
                static_cast<unsigned long long>(ledger.used[i]),
                static_cast<unsigned long long>(ledger.lent[i]));
        abort();
    }
    must(heap_->ledger().allocated == 0, "a record was not freed");
    kernel::forget_lease_pages();
    current = nullptr;
}

uint64_t KernelMachine::used(abi::Resource resource) {
    abi::BudgetLedger ledger;
    kernel::Budget::root().read_ledger(ledger);
    return ledger.used[static_cast<unsigned>(resource)];
}

abi::Handle KernelMachine::name(kernel::Object& object) {
    return process_->handles
        .insert(kernel::Ref<kernel::Object>::adopt(object), abi::all_rights, 0, false)
        .value();
}

KernelMachine::Made KernelMachine::make_semaphore(kernel::SemaphoreMode mode, uint64_t initial,
                                                  kernel::MemoryObject* memory, uint64_t offset) {
    auto* made = kernel::Semaphore::create(root(), mode, initial, memory, offset).value();
    return {*made, name(*made)};
}

void KernelMachine::close(abi::Handle handle) {
    must(process_->handles.close(handle).ok(), "no such handle");
}

abi::Handle KernelMachine::new_budget(const abi::BudgetLimits& limits) {
    budgets_.push_back(root().create_child(limits).value());
    return name(*kernel::Ref<kernel::Budget>::share(*budgets_.back()).leak());
}

void KernelMachine::add(kernel::GraceItem& item) {
    const std::lock_guard guard(mutex_);
    grace_.push_back(&item);
}

void KernelMachine::add(kernel::Work& work) {
    const std::lock_guard guard(mutex_);
    work_.push_back(&work);
}

void KernelMachine::add_newborn(kernel::Thread& thread) {
    const std::lock_guard guard(mutex_);
    newborn_.push_back(&thread);
}

bool KernelMachine::remove_newborn(kernel::Thread& thread) {
    const std::lock_guard guard(mutex_);
    if (std::exchange(keeper_, keeper_ == &thread ? nullptr : keeper_) == &thread) return true;
    return std::erase(newborn_, &thread) != 0;
}

kernel::Ref<kernel::Thread> KernelMachine::newborn() {
    const std::lock_guard making(making_);
    const std::lock_guard guard(mutex_);
    if (newborn_.empty()) return {};
    kernel::Thread& thread = *newborn_.front();
    newborn_.pop_front();
    return kernel::Ref<kernel::Thread>::share(thread);
}

kernel::Ref<kernel::Thread> KernelMachine::make_thread() {
    const std::lock_guard making(making_);
    auto thread = kernel::create_thread(process(), thread_start);
    if (!thread.ok()) return {};
    // Somebody may have killed it already.
    static_cast<void>(remove_newborn(**thread));
    return std::move(*thread);
}

void KernelMachine::kill_newborn() {
    for (;;) {
        kernel::Ref<kernel::Thread> thread;
        {
            const std::lock_guard guard(mutex_);
            if (newborn_.empty()) return;
            thread = kernel::Ref<kernel::Thread>::share(*newborn_.front());
        }
        const InKernel here;
        kernel::kill_thread(*thread, abi::EndReason::killed, 0);
    }
}

void KernelMachine::start_timer(kernel::Timer& timer, uint64_t deadline) {
    const std::lock_guard guard(mutex_);
    wheel_.add(timer, deadline, now);
}

bool KernelMachine::stop_timer(kernel::Timer& timer) {
    const std::lock_guard guard(mutex_);
    return wheel_.cancel(timer);
}

void KernelMachine::fire_timers() {
    const InKernel here;
    for (;;) {
        kernel::Timer* due = nullptr;
        {
            const std::lock_guard guard(mutex_);
            uint32_t work = ~uint32_t{0};
            due = wheel_.take_due(now, work);
        }
        if (due == nullptr) return;
        due->callback(*due);
    }
}

bool KernelMachine::advance() {
    kernel::Work* work = nullptr;
    // Everything that waits now; what is added meanwhile waits for the next period.
    std::deque<kernel::GraceItem*> items;
    {
        const std::lock_guard guard(mutex_);
        // Work that is tried again and again may wait for a grace period.
        if (!work_.empty() && (grace_.empty() || ++turn_ % 4 != 0)) {
            work = work_.front();
            work_.pop_front();
        } else {
            items.swap(grace_);
        }
    }
    if (work != nullptr) {
        const InKernel here;
        if (work->step(*work) == kernel::Work::Step::more) add(*work);
        return true;
    }
    if (items.empty()) return false;
    pass_grace_period();
    const InKernel here;
    for (kernel::GraceItem* item : items) item->done(*item);
    return true;
}

void KernelMachine::settle() {
    while (advance()) {
    }
}

ReaperThread::ReaperThread(KernelMachine& machine, uint32_t cpu)
    : thread_([this, &machine, cpu] {
          play_cpu(cpu);
          while (!stop_.load(std::memory_order_relaxed)) {
              if (!machine.advance()) sched_yield();
          }
      }) {}

ReaperThread::~ReaperThread() {
    stop_.store(true, std::memory_order_relaxed);
    thread_.join();
}

// --- threads

thread_local MachineThread* MachineThread::entered_ = nullptr;

// The first word of the page that is for the vector state, which these threads do not have.
static std::atomic<MachineThread*>& owner_of(const kernel::Thread& thread) {
    // Safety: a page of its own, which was zero.
    return *static_cast<std::atomic<MachineThread*>*>(thread.vector_area);
}

MachineThread* MachineThread::of(const kernel::Thread& thread) { return owner_of(thread); }
MachineThread& MachineThread::entered() { return *entered_; }

MachineThread::MachineThread(KernelMachine& machine) : MachineThread(machine.make_thread()) {}

MachineThread::MachineThread(kernel::Ref<kernel::Thread> newborn) : record_(std::move(newborn)) {
    must(static_cast<bool>(record_), "no thread");
    owner_of(*record_) = this;
}

MachineThread::~MachineThread() {
    must(!woken(), "a thread was woken and did not go on");
    if (dead()) return;
    enter([](kernel::Thread&) { kernel::exit_current(abi::EndReason::exited, 0); });
}

void MachineThread::wake() {
    // Before the wake can be seen. Release: pairs with the acquire in woken(), as a run queue's
    // lock would: the thread sees what the waker wrote.
    record_->status.store(kernel::ThreadStatus::ready, std::memory_order_relaxed);
    must(wakes_.fetch_add(1, std::memory_order_release) == 0, "a thread was woken twice");
}

// Runs kernel code as this thread; false: it blocked.
bool MachineThread::enter(void (*code)(kernel::Thread&)) {
    const InKernel here;
    record_->status.store(kernel::ThreadStatus::running, std::memory_order_relaxed);
    played_cpu().cpu.current = record_.get();
    entered_ = this;
    const int how = setjmp(exit_);
    if (how == 0) code(*record_);
    played_cpu().cpu.current = nullptr;
    return how != blocked;
}

bool MachineThread::call(void (*system_call)(kernel::Thread&)) {
    must(!woken(), "a thread was woken that does not wait");
    return enter(system_call);
}

bool MachineThread::go_on_once() {
    // Whoever kills it at this moment may have taken the wake.
    if (!unwake()) return false;
    // As switch_to() does.
    if (record_->dying.load(std::memory_order_acquire)) return enter(kernel::die_current);
    if (record_->resume != kernel::Resume::continuation) return true;
    return enter(record_->continuation);
}

void MachineThread::go_on() {
    do {
        const auto begin = std::chrono::steady_clock::now();
        while (!woken()) {
            if (dead()) return;
            sched_yield();
            must(std::chrono::steady_clock::now() - begin < patience, "a wait that nobody ends");
        }
    } while (!go_on_once());
}

void MachineThread::run(void (*system_call)(kernel::Thread&)) {
    if (!call(system_call)) go_on();
}

bool MachineThread::begin_wait(abi::Handle handle, uint64_t deadline, uint64_t seen) {
    message() = {};
    message().rdi = handle;
    message().rsi = seen;
    message().rdx = deadline;
    return call(kernel::system_call_wait);
}

Status MachineThread::wait(abi::Handle handle, uint64_t deadline, uint64_t seen) {
    if (!begin_wait(handle, deadline, seen)) go_on();
    return status();
}

Status MachineThread::wait_events(abi::Handle set, abi::SetEvent* events, uint64_t count,
                                  uint64_t deadline) {
    message() = {};
    message().rdi = set;
    message().rsi = reinterpret_cast<uint64_t>(events);
    message().rdx = deadline;
    message().r10 = count;
    run(kernel::system_call_wait);
    return status();
}

Status MachineThread::signal(abi::Handle handle, uint64_t units) {
    message() = {};
    message().rdi = handle;
    message().rsi = units;
    run(kernel::system_call_signal);
    return status();
}

Status MachineThread::signal_and_wait(abi::Handle signalled, abi::Handle waited) {
    message() = {};
    message().rdi = signalled;
    message().rsi = waited;
    message().rdx = abi::deadline_never;
    run(kernel::system_call_signal_and_wait);
    return status();
}

Status MachineThread::wait_any(const abi::WaitEntry* entries, uint64_t count, uint64_t deadline) {
    message() = {};
    message().rdi = reinterpret_cast<uint64_t>(entries);
    message().rsi = count;
    message().rdx = deadline;
    run(kernel::system_call_wait_any);
    return status();
}

namespace {

// What the dispatcher does for the two.
void call_object(kernel::Thread& thread) {
    const auto found = thread.process->handles.find(thread.message.rdi, abi::ObjectType::served, 0);
    if (!found.ok()) return kernel::set_status(thread, found.status());
    kernel::Table::call(thread, static_cast<kernel::ServedObject&>(*found->object), found->rights);
}
void serve_table(kernel::Thread& thread) {
    const auto found = thread.process->handles.find(thread.message.rdi, abi::ObjectType::table, 0);
    if (!found.ok()) return kernel::set_status(thread, found.status());
    static_cast<kernel::Table*>(found->object)->reply_and_wait(thread);
}

}  // namespace

Status MachineThread::ask(abi::Handle object, uint64_t word, uint64_t deadline) {
    message() = {};
    message().rdi = object;
    message().rsi = static_cast<uint64_t>(abi::Verb::get);
    message().rdx = word;
    message().r14 = deadline;
    run(call_object);
    return status();
}

Status MachineThread::reply_and_wait(abi::Handle table, uint64_t request, uint64_t word,
                                     uint64_t deadline) {
    message() = {};
    message().rdi = table;
    message().rsi = request;
    message().rdx = word;
    message().r14 = deadline;
    run(serve_table);
    return status();
}

bool MachineThread::time_out() {
    if (!kernel::time_out_wait(*record_)) return false;
    kernel::make_ready(*record_);
    return true;
}

bool MachineThread::cancel() {
    if (!kernel::cancel_wait(*record_, Error::cancelled)) return false;
    kernel::make_ready(*record_);
    return true;
}

}  // namespace annulus::test

namespace annulus::arch {
CpuLocal& this_cpu() { return test::cpus[cpu_index()].cpu.local; }
}  // namespace annulus::arch

namespace annulus::kernel {
Cpu& cpu_at(unsigned index) { return test::cpus[index].cpu; }
}  // namespace annulus::kernel
