// SPDX-License-Identifier: MIT
// KernelMachine, and the kernel's hooks that end in it.
#include "tests/support/kernel_machine.h"

#include "arch/clock.h"
#include "arch/tlb.h"
#include "arch/user_access.h"
#include "kernel/memory/region.h"
#include "kernel/memory/table_pages.h"
#include "kernel/object/hardware.h"
#include "kernel/object/lease.h"
#include "kernel/object/stock.h"
#include "kernel/object/table.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/syscall/system_calls.h"
#include "tests/support/kernel_hooks.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chrono>

namespace annulus::test {
namespace {

constexpr std::chrono::seconds patience{20};

// How a call left the kernel by a jump.
constexpr int blocked = 1;
constexpr int returned = 2;

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
    abi::BudgetLimits limits{};
    for (uint64_t& amount : limits.amount) amount = uint64_t{1} << 40;
    limits.cpu_weight = 100;
    limits.priority_ceiling = 63;
    kernel::Budget::init_root(limits);
    for (unsigned i = 0; i < played_cpus_max; ++i) cpus[i].cpu.local.index = i;
    process_ = root().create<kernel::Process>(false).value();
    must(kernel::HandleTable::create(process_->handles, root(), 4096).ok(), "no handle table");
    while (!process_->handles.prepare_some()) {
    }
}

KernelMachine::~KernelMachine() {
    process_.reset();
    settle();
    // Lists of what ended are the kernel's own, and must be empty for the next machine.
    kernel::free_retired_soon();
    kernel::empty_stocks();
    settle();
    kernel::empty_stocks();
    settle();
    for (const auto resource :
         {abi::Resource::handles, abi::Resource::pages, abi::Resource::kernel_bytes,
          abi::Resource::pins, abi::Resource::wait_records}) {
        must(used(resource) == 0, "something is still charged");
    }
    must(heap_->ledger().allocated == 0, "a record was not freed");
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

void KernelMachine::add(kernel::GraceItem& item) {
    const std::lock_guard guard(mutex_);
    grace_.push_back(&item);
}

void KernelMachine::add(kernel::Work& work) {
    const std::lock_guard guard(mutex_);
    work_.push_back(&work);
}

bool KernelMachine::advance() {
    kernel::Work* work = nullptr;
    // Everything that waits now; what is added meanwhile waits for the next period.
    std::deque<kernel::GraceItem*> items;
    {
        const std::lock_guard guard(mutex_);
        if (!work_.empty()) {
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

MachineThread::MachineThread(KernelMachine& machine)
    : record_(machine.root().create<kernel::Thread>(machine.process()).value()) {
    record_->vector_area = this;
}

MachineThread::~MachineThread() {
    must(!woken(), "a thread was woken and did not go on");
    const InKernel here;
    kernel::leave_queues(*record_);
}

MachineThread& MachineThread::of(kernel::Thread& thread) {
    // Safety: the constructor put it there; these threads have no vector state.
    return *static_cast<MachineThread*>(thread.vector_area);
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
    const int how = setjmp(exit_);
    if (how == 0) code(*record_);
    played_cpu().cpu.current = nullptr;
    return how != blocked;
}

bool MachineThread::call(void (*system_call)(kernel::Thread&)) {
    must(!woken(), "a thread was woken that does not wait");
    return enter(system_call);
}

void MachineThread::go_on() {
    const auto begin = std::chrono::steady_clock::now();
    while (!woken()) {
        sched_yield();
        must(std::chrono::steady_clock::now() - begin < patience, "a wait that nobody ends");
    }
    // Relaxed: nobody wakes it before it waits again.
    wakes_.store(0, std::memory_order_relaxed);
    if (record_->resume != kernel::Resume::continuation) return;
    if (!enter(record_->continuation)) go_on();
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

uint64_t now_ns() { return test::KernelMachine::current->now.load(std::memory_order_relaxed); }

// Programs' memory is the test's own.
bool copy_from_user(void* to, UserAddress from, size_t size) {
    memcpy(to, reinterpret_cast<const void*>(from.value), size);
    return true;
}
bool copy_to_user(UserAddress to, const void* from, size_t size) {
    memcpy(reinterpret_cast<void*>(to.value), from, size);
    return true;
}

}  // namespace annulus::arch

namespace annulus::kernel {

using test::KernelMachine;
using test::MachineThread;

PageAllocator* the_page_allocator = nullptr;
ObjectHeap* the_object_heap = nullptr;
void grace_after(GraceItem& item) { KernelMachine::current->add(item); }
void reap(Work& work) { KernelMachine::current->add(work); }
Cpu& cpu_at(unsigned index) { return test::cpus[index].cpu; }

Result<void*> allocate_table_pages(Budget& budget, uint64_t pages, TableContent content) {
    const uint32_t order = PageAllocator::order_for(pages);
    TRY(budget.charge(abi::Resource::pages, uint64_t{1} << order));
    auto block = page_allocator().allocate(order);
    if (!block.ok()) {
        budget.uncharge(abi::Resource::pages, uint64_t{1} << order);
        return block.status();
    }
    std::byte* bytes = page_allocator().pointer(*block);
    // What nobody promised to be zero is not.
    const int fill = content == TableContent::zeroed ? 0 : 0xa5;
    memset(bytes, fill, abi::page_size << order);
    return static_cast<void*>(bytes);
}

void free_table_pages(Budget& budget, void* storage, uint64_t pages) {
    const uint32_t order = PageAllocator::order_for(pages);
    page_allocator().free(page_allocator().page_of(storage), order);
    budget.uncharge(abi::Resource::pages, uint64_t{1} << order);
}

// --- the scheduler

void make_ready(Thread& thread) { MachineThread::of(thread).wake(); }
void schedule() { MachineThread::of(current_thread()).leave(test::blocked); }
void hand_off(Thread& thread) {
    make_ready(thread);
    schedule();
}
void return_to_thread(Thread& thread) { MachineThread::of(thread).leave(test::returned); }
void set_priority(Thread& thread, uint8_t priority) { thread.priority = priority; }

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

// --- threads and their process, without what makes and ends real ones

namespace {

bool detach_thread(Object& object) {
    auto& thread = static_cast<Thread&>(object);
    thread.exit_watches.clear();
    if (thread.any_links != nullptr) {
        thread.budget->free_bytes(thread.any_links, sizeof(AnyLink) * abi::wait_any_max);
    }
    Ref<Process>::adopt(*thread.process).reset();
    return true;
}
bool detach_process(Object& object) {
    auto& process = static_cast<Process&>(object);
    for (uint32_t cursor = 0; !process.handles.close_some(cursor, abi::chunk_items);) {
    }
    process.handles.destroy();
    return true;
}
void die(Object&) {}
void destruct_thread(Object& object) { static_cast<Thread&>(object).~Thread(); }
void destruct_process(Object& object) { static_cast<Process&>(object).~Process(); }

constexpr ObjectKind thread_kind = {abi::ObjectType::thread, detach_thread, die, destruct_thread};

}  // namespace

Thread::Thread(Budget* payer, uint32_t size, Process& owner)
    : Object(thread_kind, payer, size), slot(&no_slot), process(&owner) {
    retain(owner);
    link.thread = this;
    handles = owner.handles.entries();
}

const ObjectKind Process::kind_table = {abi::ObjectType::process, detach_process, die,
                                        destruct_process};

Process::Process(Budget* payer, uint32_t size, bool withhold_cycles)
    : Object(kind_table, payer, size), withholds_cycles_(withhold_cycles), id_(1) {}

// --- what these tests do without: leases, mappings, devices, and destructions of budgets

constinit std::atomic<LeaseEpochPage*> lease_epochs[lease_pages_max] = {};
void retain_lease(Lease) {}
void release_lease(Lease) {}
Result<void> lease_region(Region&) { return Error::revoked; }
void lease_part(const Region&, Region&) {}
void unlease_region(Region&) {}
void forget_revoked(Region&) {}
bool loaded_elsewhere(uint64_t) { return false; }
void give_back_registers(PhysicalRange) {}
void Budget::begin_destruction() {}
// Timers of rings' operations: they never fire.
void start_timer(Timer&, uint64_t, Cpu*&) {}
bool stop_timer(Timer&, Cpu*) { return false; }
void leave_kernel_slowly(Thread&) {}

}  // namespace annulus::kernel

namespace annulus::arch {

PhysicalAddress kernel_page_table() { return 0; }
void invalidate_page(uint64_t) {}
void invalidate_user_pages() {}

}  // namespace annulus::arch
