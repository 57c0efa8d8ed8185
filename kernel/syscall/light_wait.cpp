// SPDX-License-Identifier: MIT
// The short way through wait, signal and signal_and_wait: counting semaphores, no deadline.
//
// The entry calls these with the operands in registers and nothing saved but the return state: the
// caller of a system call treats its registers as lost, so a thread that blocks here has nothing to
// keep but its status. Whatever is not plain goes to the general functions (wait.cpp), before
// anything was changed.
#include "arch/clock.h"
#include "arch/switch.h"
#include "kernel/object/handle_table.h"
#include "kernel/object/process.h"
#include "kernel/object/semaphore.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/schedule/timers.h"
#include "kernel/syscall/system_calls.h"

namespace annulus::kernel {

extern "C" [[noreturn]] void kernel_system_call(Thread& thread);

// rax and rdx of the caller.
struct LightResult {
    uint64_t status;
    uint64_t value;
};

struct LightOperands {
    abi::SystemCall number;
    uint64_t rdi, rsi, rdx, r10;
};

// A friend of Semaphore.
struct LightSemaphore {
    // The counting semaphore that the handle names, or null if anything about it is not plain.
    [[gnu::always_inline]] static Semaphore* find(const Thread& self, abi::Handle handle,
                                                  abi::Rights right) {
        const uint32_t slot = abi::slot_of(handle);
        if (slot >= self.fast_handle_count) return nullptr;
        const HandleEntry& entry = self.handles[slot];
        // Acquire, and the comparison below: as in HandleTable::find.
        const uint64_t word = entry.word.load(std::memory_order_acquire);
        constexpr auto type = static_cast<uint64_t>(abi::ObjectType::semaphore);
        // Slots are below 65536, so bits 24 to 31 of the handle are zero: what is left of the
        // difference is the busy bit and the type.
        if ((word ^ handle) >> 24 != type || (word & right) == 0) return nullptr;
        if (entry.lease.load(std::memory_order_acquire) != 0) return nullptr;
        auto* semaphore = static_cast<Semaphore*>(entry.object.load(std::memory_order_acquire));
        if (entry.word.load(std::memory_order_relaxed) != word) return nullptr;
        return semaphore->mode_ == SemaphoreMode::counting ? semaphore : nullptr;
    }

    enum class Signalled : uint8_t { no, counted, woken };

    // One unit. `woken`: to be made ready or switched to.
    [[gnu::always_inline]] static Signalled signal(Semaphore& semaphore, Thread*& woken) {
        SpinGuard guard(semaphore.lock_);
        if (!semaphore.plain_locked()) return Signalled::no;
        WaitLink* link = semaphore.queue_.front();
        if (link == nullptr) {
            const uint64_t value = semaphore.enter_word_locked();
            const bool fits = value < abi::semaphore_max;
            semaphore.leave_word_locked(fits ? value + 1 : value);
            return fits ? Signalled::counted : Signalled::no;
        }
        Thread& thread = *link->thread;
        WaitRecord waiting = WaitRecord::waiting;
        // Acquire-release: the winner sees the thread's complete state and publishes the grant.
        if (!thread.wait_record.compare_exchange_strong(waiting, granted_through(link->index),
                                                        std::memory_order_acq_rel)) {
            return Signalled::no;  // a link of a wait that ended otherwise
        }
        semaphore.queue_.remove(*link);
        link->semaphore.store(nullptr, std::memory_order_release);
        semaphore.leave_word_locked(semaphore.enter_word_locked());
        woken = &thread;
        return Signalled::woken;
    }

    enum class Taken : uint8_t { no, taken, queued };

    // Takes a unit, or queues the thread, which then returns with status ok.
    [[gnu::always_inline]] static Taken take_or_queue(Semaphore& semaphore, Thread& self) {
        SpinGuard guard(semaphore.lock_);
        if (semaphore.dead.load(std::memory_order_relaxed)) return Taken::no;
        const uint64_t value = semaphore.enter_word_locked();
        if (value > 0) {
            semaphore.leave_word_locked(value - 1);
            return Taken::taken;
        }
        self.status.store(ThreadStatus::blocked, std::memory_order_relaxed);
        self.wait_kind = WaitKind::semaphore;
        self.wait_deadline = abi::deadline_never;
        self.link.index = 0;
        self.link.seen = 0;
        self.link.semaphore.store(&semaphore, std::memory_order_relaxed);
        semaphore.queue_.push_back(self.link);
        set_status(self, Status());
        // Release: whoever ends the wait sees all of the above.
        self.wait_record.store(WaitRecord::waiting, std::memory_order_release);
        semaphore.leave_word_locked(value);
        return Taken::queued;
    }
};

namespace {

[[noreturn, gnu::noinline, gnu::cold]] void general(Thread& self, const LightOperands& in) {
    self.message.rax = static_cast<uint64_t>(in.number);
    self.message.rdi = in.rdi;
    self.message.rsi = in.rsi;
    self.message.rdx = in.rdx;
    self.message.r10 = in.r10;
    kernel_system_call(self);
}

// The end of a system call whose caller goes on but was told to look at the scheduler first.
[[noreturn, gnu::noinline, gnu::cold]] void leave(Thread& self) {
    set_status(self, Status());
    leave_kernel(self);
    return_to_thread(self);
}

bool plain(const Thread& thread) {
    return thread.slow_reasons.load(std::memory_order_relaxed) == 0;
}

// A thread that returns with nothing but a status, and needs nothing special to be switched to.
bool may_switch(const Thread& thread) { return plain(thread) && thread.resume == Resume::status; }

// Whether the thread, once it runs, shares the CPU with an equal, and no time slice is running yet.
bool needs_slice(const Cpu& cpu, uint8_t highest_ready, const Thread& thread) {
    return highest_ready >= thread.priority && cpu.slice_end == 0;
}

[[noreturn]] void switch_light(Thread& thread) {
    thread.status.store(ThreadStatus::running, std::memory_order_relaxed);
    arch::switch_with_status(&thread);
}

// The running thread is blocked: whoever is next gets the CPU.
[[noreturn, gnu::always_inline]] inline void block(Cpu& cpu) {
    RunQueueNode* node;
    {
        SpinGuard guard(cpu.queue_lock);
        node = cpu.run_queue.peek();
        if (node == nullptr || node == &cpu.reaper_node ||
            !may_switch(static_cast<Thread&>(*node))) {
            node = nullptr;
        } else {
            cpu.run_queue.remove(*node);
        }
    }
    if (node == nullptr) schedule();
    auto& thread = static_cast<Thread&>(*node);
    if (needs_slice(cpu, cpu.run_queue.highest_or_zero(), thread)) switch_to(thread);
    thread.cpu.store(&cpu, std::memory_order_relaxed);
    switch_light(thread);
}

// Makes a woken thread ready. True: the caller has to give way to it, or to arm a time slice.
[[gnu::always_inline]] inline bool wake(Cpu& cpu, const Thread& self, Thread& woken) {
    if (!plain(woken) || woken.cpu.load(std::memory_order_relaxed) != &cpu) {
        if (woken.timer_armed) disarm_deadline(woken);
        make_ready(woken);
        return cpu.resched.load(std::memory_order_relaxed);
    }
    SpinGuard guard(cpu.queue_lock);
    woken.status.store(ThreadStatus::ready, std::memory_order_relaxed);
    cpu.run_queue.push_back(woken);
    if (woken.priority < self.priority) return false;
    if (woken.priority == self.priority && cpu.slice_end != 0) return false;
    cpu.resched.store(true, std::memory_order_relaxed);
    return true;
}

void count_entry() {
    if constexpr (counters) ++this_cpu().counters.kernel_entries;
}

}  // namespace

extern "C" LightResult kernel_light_signal(uint64_t handle, uint64_t units, uint64_t, uint64_t,
                                           Thread& self) {
    Thread* woken = nullptr;
    Semaphore* semaphore = LightSemaphore::find(self, handle, abi::right_signal);
    if (semaphore == nullptr || units > 1) {
        general(self, {abi::SystemCall::signal, handle, units, 0, 0});
    }
    if (units == 0) {
        count_entry();
        return {0, 0};
    }
    const auto signalled = LightSemaphore::signal(*semaphore, woken);
    if (signalled == LightSemaphore::Signalled::no) {
        general(self, {abi::SystemCall::signal, handle, units, 0, 0});
    }
    count_entry();
    if (woken != nullptr && wake(this_cpu(), self, *woken)) leave(self);
    return {0, 0};
}

extern "C" LightResult kernel_light_wait(uint64_t handle, uint64_t seen, uint64_t deadline,
                                         uint64_t capacity, Thread& self) {
    Semaphore* semaphore = LightSemaphore::find(self, handle, abi::right_wait);
    auto taken = LightSemaphore::Taken::no;
    if (semaphore != nullptr && deadline == abi::deadline_never) {
        taken = LightSemaphore::take_or_queue(*semaphore, self);
    }
    if (taken == LightSemaphore::Taken::no) {
        general(self, {abi::SystemCall::wait, handle, seen, deadline, capacity});
    }
    count_entry();
    if (taken == LightSemaphore::Taken::queued) block(this_cpu());
    return {0, 0};
}

extern "C" LightResult kernel_light_signal_and_wait(uint64_t wake_handle, uint64_t wait_handle,
                                                    uint64_t deadline, uint64_t seen,
                                                    Thread& self) {
    const LightOperands in = {abi::SystemCall::signal_and_wait, wake_handle, wait_handle, deadline,
                              seen};
    Semaphore* signalled = LightSemaphore::find(self, wake_handle, abi::right_signal);
    Semaphore* waited = LightSemaphore::find(self, wait_handle, abi::right_wait);
    if (signalled == nullptr || waited == nullptr || deadline != abi::deadline_never) {
        general(self, in);
    }
    Thread* woken = nullptr;
    if (LightSemaphore::signal(*signalled, woken) == LightSemaphore::Signalled::no) {
        general(self, in);
    }
    count_entry();
    Cpu& cpu = this_cpu();
    const auto taken = LightSemaphore::take_or_queue(*waited, self);
    if (taken == LightSemaphore::Taken::queued) {
        if (woken == nullptr) block(cpu);
        // Somebody more urgent who is queued by another CPU right now comes with an interrupt.
        const uint8_t highest = cpu.run_queue.highest_or_zero();
        if (may_switch(*woken) && highest <= woken->priority &&
            !needs_slice(cpu, highest, *woken)) {
            woken->cpu.store(&cpu, std::memory_order_relaxed);
            switch_light(*woken);
        }
        if (woken->timer_armed) disarm_deadline(*woken);
        hand_off(*woken);
    }
    // The semaphore died under us, or had a unit: the woken thread runs by itself.
    const bool gives_way = woken != nullptr && wake(cpu, self, *woken);
    if (taken == LightSemaphore::Taken::no) {
        set_status(self, Error::closed);
        leave_kernel(self);
        return_to_thread(self);
    }
    if (gives_way) leave(self);
    return {0, 0};
}

}  // namespace annulus::kernel
