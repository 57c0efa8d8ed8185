// SPDX-License-Identifier: MIT
// KernelMachine: what the kernel's objects count on, for tests that use them from several threads.
//
// A host thread plays a CPU (play_cpu()) and is in the kernel while it holds an InKernel. A
// MachineThread is a kernel thread's record whose user is one host thread: its system calls are the
// kernel's own code, and where that gives the CPU away (schedule(), hand_off()) the host thread
// comes back here by a long jump, as if it left an empty stack, and sleeps until make_ready().
//
//   call() -> kernel code -> returns, or schedule() --jump--> blocked -> make_ready() -> go_on()
//
// There are no run queues, priorities or interrupts, and the fast paths in assembly are not there.
// A thread's deadline is a hint that the test gives; other timers fire in fire_timers(). Grace
// periods are real: one ends when every CPU that was in the kernel as it began has left. Reaper and
// grace periods run where the test calls settle(), or in a host thread of their own. Processes have
// address spaces that nobody loads: the memory of a program is the test's own.
#pragma once

#include "kernel/memory/kernel_memory.h"
#include "kernel/object/budget.h"
#include "kernel/object/process.h"
#include "kernel/object/semaphore.h"
#include "kernel/schedule/cpu.h"
#include "kernel/schedule/timer_wheel.h"
#include "tests/support/page_arena.h"

#include <setjmp.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace annulus::test {

inline constexpr unsigned played_cpus_max = 16;

// How a thread begins that no MachineThread runs in user mode.
inline constexpr kernel::ThreadStart thread_start = {.entry = abi::user_begin,
                                                     .stack = 0,
                                                     .argument = 0,
                                                     .fs_base = 0,
                                                     .priority = 0,
                                                     .affinity = 0};

// While it lives the calling thread's CPU is in the kernel: what it looked up stays allocated.
class InKernel {
public:
    InKernel();
    ~InKernel();
    InKernel(const InKernel&) = delete;
    InKernel& operator=(const InKernel&) = delete;
};

// One at a time.
class KernelMachine {
public:
    explicit KernelMachine(uint64_t pages = 4096);
    // All objects have been given back; what they charged, too.
    ~KernelMachine();
    KernelMachine(const KernelMachine&) = delete;
    KernelMachine& operator=(const KernelMachine&) = delete;

    kernel::Budget& root() { return kernel::Budget::root(); }
    static uint64_t used(abi::Resource resource);
    // Lives as long as the machine, or until somebody kills it.
    kernel::Process& process() { return *process_; }
    // A handle of the process with all rights; takes over the reference.
    abi::Handle name(kernel::Object& object);
    // A semaphore, whose one reference is its handle's.
    struct Made {
        kernel::Semaphore& semaphore;
        abi::Handle handle;
    };
    Made make_semaphore(kernel::SemaphoreMode mode, uint64_t initial = 0,
                        kernel::MemoryObject* memory = nullptr, uint64_t offset = 0);
    void close(abi::Handle handle);

    // A handle to a child of the root budget, which the machine's end destroys.
    abi::Handle new_budget(const abi::BudgetLimits& limits);

    // One step of the reaper, or one grace period. False: there was nothing to do.
    bool advance();
    void settle();
    // Calls what timers, which are not threads' deadlines, are due for.
    void fire_timers();
    // A thread that a program made, and that is nobody's MachineThread yet; null: there is none.
    kernel::Ref<kernel::Thread> newborn();
    // A new thread of process(), for a MachineThread. Null: the process has ended.
    kernel::Ref<kernel::Thread> make_thread();
    // Those that are left end.
    void kill_newborn();

    // Time as deadlines and timers see it; never goes back.
    std::atomic<uint64_t> now{1};
    // What programs may name in calls, if it is not empty; otherwise all of the test's memory.
    std::span<std::byte> user_memory;

    // For the hooks.
    static KernelMachine* current;
    void add(kernel::GraceItem& item);
    void add(kernel::Work& work);
    void add_newborn(kernel::Thread& thread);
    bool remove_newborn(kernel::Thread& thread);
    void start_timer(kernel::Timer& timer, uint64_t deadline);
    bool stop_timer(kernel::Timer& timer);
    arch::PhysicalAddress upper_half() const { return upper_half_; }

private:
    PageArena arena_;
    std::unique_ptr<kernel::ObjectHeap> heap_;
    arch::PhysicalAddress upper_half_ = 0;
    kernel::Ref<kernel::Process> process_;
    std::vector<kernel::Ref<kernel::Budget>> budgets_;
    std::mutex making_;  // held while a thread that is to be a MachineThread's is newborn
    std::mutex mutex_;   // guards the queues and the wheel
    kernel::TimerWheel wheel_;
    std::deque<kernel::Thread*> newborn_;  // ready; each lives until it has ended
    kernel::Thread* keeper_ = nullptr;     // never runs
    std::deque<kernel::GraceItem*> grace_;
    std::deque<kernel::Work*> work_;
    unsigned turn_ = 0;
};

// Reaper and grace periods in a host thread of their own, while it lives.
class ReaperThread {
public:
    // `cpu`: the one that it plays.
    ReaperThread(KernelMachine& machine, uint32_t cpu);
    ~ReaperThread();

private:
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

// A kernel thread. Used by one host thread, but for record().
class MachineThread {
public:
    // A new one of the machine's process.
    explicit MachineThread(KernelMachine& machine);
    // One that there is, and that is ready.
    explicit MachineThread(kernel::Ref<kernel::Thread> newborn);
    // It exits, if it has not ended.
    ~MachineThread();
    MachineThread(const MachineThread&) = delete;
    MachineThread& operator=(const MachineThread&) = delete;

    kernel::Thread& record() { return *record_; }
    kernel::Message& message() { return record_->message; }

    // A system call, whose operands are in the message. False: it blocked; go_on() follows.
    bool call(void (*system_call)(kernel::Thread&));
    // Somebody ended its wait.
    bool woken() const { return wakes_.load(std::memory_order_acquire) != 0; }
    bool dead() const { return record_->status == kernel::ThreadStatus::dead; }
    // Of one that is woken: goes on. False: it blocked again.
    bool go_on_once();
    // After a call that blocked: sleeps until it is woken, and finishes the call. Aborts when
    // nobody ends the wait within 20 seconds of the host's time.
    void go_on();
    // Both.
    void run(void (*system_call)(kernel::Thread&));

    // The four system calls on semaphores, to their end. The status; the value or index is in
    // message().rdx.
    Status wait(abi::Handle handle, uint64_t deadline = abi::deadline_never, uint64_t seen = 0);
    Status signal(abi::Handle handle, uint64_t units = 1);
    Status signal_and_wait(abi::Handle signalled, abi::Handle waited);
    Status wait_any(const abi::WaitEntry* entries, uint64_t count,
                    uint64_t deadline = abi::deadline_never);
    // Of a set, up to `count` events: how many is in message().rdx.
    Status wait_events(abi::Handle set, abi::SetEvent* events, uint64_t count,
                       uint64_t deadline = abi::deadline_never);
    // A call of a served object, with one word, and no bytes. The answer's is in message().rdx.
    Status ask(abi::Handle object, uint64_t word, uint64_t deadline = abi::deadline_never);
    // Answers a request (0: none) with one word, and waits for the next: message() has it.
    Status reply_and_wait(abi::Handle table, uint64_t request, uint64_t word,
                          uint64_t deadline = abi::deadline_never);
    // As wait(), but only begins: true when it returned at once.
    bool begin_wait(abi::Handle handle, uint64_t deadline = abi::deadline_never, uint64_t seen = 0);
    Status status() const { return Status(record_->message.rax); }

    // What another CPU does to it: its deadline timer fires; it is killed. True: that ended the
    // wait. In an InKernel of the caller's.
    bool time_out();
    bool cancel();

    // For the hooks. How a call leaves the kernel by a jump:
    static constexpr int blocked = 1;
    static constexpr int returned = 2;
    static MachineThread* of(const kernel::Thread& thread);
    // The one whose system call the calling host thread runs.
    static MachineThread& entered();
    void wake();
    bool unwake() { return wakes_.exchange(0, std::memory_order_acquire) != 0; }
    [[noreturn]] void leave(int how) { longjmp(exit_, how); }

private:
    bool enter(void (*code)(kernel::Thread&));

    static thread_local MachineThread* entered_;

    kernel::Ref<kernel::Thread> record_;
    std::atomic<uint64_t> wakes_{0};  // make_ready() since the last go_on(): 0 or 1
    jmp_buf exit_;
};

}  // namespace annulus::test
