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
// Timers are hints that the test gives. Grace periods are real: one ends when every CPU that was in
// the kernel as it began has left. Reaper and grace periods run where the test calls settle(), or
// in a host thread of their own.
#pragma once

#include "kernel/memory/kernel_memory.h"
#include "kernel/object/budget.h"
#include "kernel/object/process.h"
#include "kernel/object/semaphore.h"
#include "kernel/schedule/cpu.h"
#include "tests/support/page_arena.h"

#include <setjmp.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

namespace annulus::test {

inline constexpr unsigned played_cpus_max = 16;

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
    // Its threads are MachineThreads; it has a handle table, and no address space.
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

    // One step of the reaper, or one grace period. False: there was nothing to do.
    bool advance();
    void settle();

    // Time as deadlines see it.
    std::atomic<uint64_t> now{1};

    // For the hooks.
    static KernelMachine* current;
    void add(kernel::GraceItem& item);
    void add(kernel::Work& work);

private:
    PageArena arena_;
    std::unique_ptr<kernel::ObjectHeap> heap_;
    kernel::Ref<kernel::Process> process_;
    std::mutex mutex_;  // guards the two queues
    std::deque<kernel::GraceItem*> grace_;
    std::deque<kernel::Work*> work_;
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

// A thread of the machine's process. Used by one host thread, but for record().
class MachineThread {
public:
    explicit MachineThread(KernelMachine& machine);
    ~MachineThread();
    MachineThread(const MachineThread&) = delete;
    MachineThread& operator=(const MachineThread&) = delete;

    kernel::Thread& record() { return *record_; }
    kernel::Message& message() { return record_->message; }

    // A system call, whose operands are in the message. False: it blocked; go_on() follows.
    bool call(void (*system_call)(kernel::Thread&));
    // Somebody ended its wait.
    bool woken() const { return wakes_.load(std::memory_order_acquire) != 0; }
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

    // For the hooks.
    static MachineThread& of(kernel::Thread& thread);
    void wake();
    [[noreturn]] void leave(int how) { longjmp(exit_, how); }

private:
    bool enter(void (*code)(kernel::Thread&));

    kernel::Ref<kernel::Thread> record_;
    std::atomic<uint64_t> wakes_{0};  // make_ready() since the last go_on(): 0 or 1
    jmp_buf exit_;
};

}  // namespace annulus::test
