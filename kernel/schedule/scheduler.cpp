// SPDX-License-Identifier: MIT
// The scheduler's decisions: which thread runs where. Switching itself is in switch.cpp.
#include "kernel/schedule/scheduler.h"

#include "arch/clock.h"
#include "arch/cpu.h"
#include "arch/interrupts.h"
#include "kernel/assert.h"
#include "kernel/memory/kernel_memory.h"
#include "kernel/schedule/grace.h"
#include "kernel/schedule/kernel_stack.h"
#include "kernel/schedule/reaper.h"
#include "kernel/schedule/timers.h"

#include <utility>

namespace annulus::kernel {

namespace {

uint64_t bit_of(unsigned index) { return uint64_t{1} << index; }

// One bit for each idle CPU that nobody was sent to, so that a wake-up finds one without looking at
// all of them.
std::atomic<uint64_t> idle_cpus{0};

// Whoever takes an idle CPU sends a thread to it. The next one looks for another, instead of
// waiting behind the first.
bool take_idle(unsigned index) {
    // Relaxed: it only decides who goes where.
    return (idle_cpus.load(std::memory_order_relaxed) & bit_of(index)) != 0 &&
           (idle_cpus.fetch_and(~bit_of(index), std::memory_order_relaxed) & bit_of(index)) != 0;
}

// An idle CPU that the thread may use, else the one it used last, else the first it may use.
Cpu& choose_cpu(const Thread& thread) {
    Cpu* last = thread.cpu.load(std::memory_order_relaxed);
    const uint64_t allowed = thread.affinity;
    if (last != nullptr && (allowed & bit_of(last->local.index))) {
        if (take_idle(last->local.index)) return *last;
    } else {
        last = nullptr;
    }
    uint64_t idle = idle_cpus.load(std::memory_order_relaxed) & allowed;
    for (; idle != 0; idle &= idle - 1) {
        const auto index = static_cast<unsigned>(std::countr_zero(idle));
        if (take_idle(index)) return cpu_at(index);
    }
    if (last != nullptr) return *last;
    Cpu& here = this_cpu();
    if (allowed & bit_of(here.local.index)) return here;
    return cpu_at(static_cast<unsigned>(std::countr_zero(allowed)));
}

// Makes `cpu` look at its queue: somebody of this priority was put there.
void poke(Cpu& cpu, uint8_t priority) {
    if (&cpu == &this_cpu()) {
        // Whoever is less urgent than the running thread waits until that leaves the CPU or gets
        // less urgent, and an equal until its time slice ends, if there is one already.
        const Thread* running = cpu.current;
        const uint8_t its = running == nullptr ? uint8_t{0} : uint8_t{running->priority};
        const bool waits =
            running != nullptr && (priority < its || (priority == its && cpu.slice_end != 0));
        if (!waits) cpu.resched.store(true, std::memory_order_relaxed);
        return;
    }
    // Always: what runs there may be handing the CPU to somebody less urgent at this moment, on a
    // fast path that looked at its queue just before.
    arch::send_ipi(cpu.local.index, vector_reschedule);
}

// A thread that may run on these CPUs waits behind another one: an idle CPU comes for it, if there
// is one.
void call_idle_cpu(uint64_t allowed) {
    uint64_t idle = idle_cpus.load(std::memory_order_relaxed) & allowed;
    for (; idle != 0; idle &= idle - 1) {
        const auto index = static_cast<unsigned>(std::countr_zero(idle));
        if (take_idle(index)) return arch::send_ipi(index, vector_reschedule);
    }
}

void enqueue(Thread& thread, Cpu& cpu, bool front) {
    SpinGuard guard(cpu.queue_lock);
    thread.cpu.store(&cpu, std::memory_order_relaxed);
    thread.status = ThreadStatus::ready;
    if (front) {
        cpu.run_queue.push_front(thread);
    } else {
        cpu.run_queue.push_back(thread);
    }
}

// A ready thread of another CPU that may run here, or null.
Thread* steal(Cpu& here) {
    for (unsigned step = 1; step < online_cpus(); ++step) {
        Cpu& victim = cpu_at((here.local.index + step) % online_cpus());
        if (victim.run_queue.looks_empty()) continue;
        SpinGuard guard(victim.queue_lock);
        RunQueueNode* node = victim.run_queue.pop_first([&](const RunQueueNode& each) {
            return &each != &victim.reaper_node &&
                   (static_cast<const Thread&>(each).affinity & bit_of(here.local.index)) != 0;
        });
        if (node == nullptr) continue;
        auto* thread = static_cast<Thread*>(node);
        thread->cpu.store(&here, std::memory_order_relaxed);
        return thread;
    }
    return nullptr;
}

void run_node(Cpu& cpu, RunQueueNode& node) {
    if (&node == &cpu.reaper_node) {
        cpu.current = nullptr;
        cpu.slice_end = 0;  // nobody's: it would end again and again under the reaper
        reaper_run();
    }
    switch_to(static_cast<Thread&>(node));
}

}  // namespace

extern "C" [[noreturn]] void kernel_schedule();

void make_ready(Thread& thread) {
    Cpu& cpu = choose_cpu(thread);
    enqueue(thread, cpu, false);
    poke(cpu, thread.priority);
}

// For the fast path of a wait, too, which is on a fresh stack.
extern "C" [[noreturn]] void kernel_schedule() {
    Cpu& cpu = this_cpu();
    account_cycles(cpu);
    cpu.current = nullptr;
    cpu.resched.store(false, std::memory_order_relaxed);
    grace_settle(cpu);
    RunQueueNode* node;
    {
        SpinGuard guard(cpu.queue_lock);
        node = cpu.run_queue.pop_highest();
    }
    if (node != nullptr) run_node(cpu, *node);
    if (Thread* stolen = steal(cpu)) switch_to(*stolen);
    idle_loop();
}

void schedule() { run_on_fresh_stack(kernel_schedule); }

void hand_off(Thread& thread) {
    Cpu& cpu = this_cpu();
    bool stays;
    {
        SpinGuard guard(cpu.queue_lock);
        stays = (thread.affinity & bit_of(cpu.local.index)) &&
                (cpu.run_queue.empty() || cpu.run_queue.highest() <= thread.priority);
    }
    if (!stays) {
        make_ready(thread);
        schedule();
    }
    account_cycles(cpu);
    thread.cpu.store(&cpu, std::memory_order_relaxed);
    switch_to(thread);
}

void leave_kernel_slowly(Thread& thread) {
    Cpu& cpu = this_cpu();
    grace_settle(cpu);
    // Acquire: pairs with the release in kill_thread: the reason is seen with the flag.
    if (thread.dying.load(std::memory_order_acquire)) die_current(thread);
    const bool slice_over = slice_is_over(cpu);
    if (!cpu.resched.exchange(false, std::memory_order_relaxed) && !slice_over) return;
    const bool yields = makes_way(cpu, thread, slice_over);
    if (slice_over) cpu.slice_end = 0;
    if (yields) preempt(thread, !slice_over);
    watch_slice(cpu, thread);
}

bool slice_is_over(const Cpu& cpu) { return cpu.slice_end != 0 && arch::now_ns() >= cpu.slice_end; }

bool makes_way(Cpu& cpu, const Thread& thread, bool slice_over) {
    if ((thread.affinity & bit_of(cpu.local.index)) == 0) return true;
    SpinGuard guard(cpu.queue_lock);
    if (cpu.run_queue.empty()) return false;
    const uint8_t highest = cpu.run_queue.highest();
    return highest > thread.priority || (slice_over && highest == thread.priority);
}

bool may_continue(Thread& thread) {
    arch::allow_interrupts();
    Cpu& cpu = this_cpu();
    grace_settle(cpu);
    // Relaxed: whoever sets them interrupts this CPU, or is it.
    if (cpu.resched.load(std::memory_order_relaxed)) return false;
    if (thread.dying.load(std::memory_order_relaxed)) return false;
    return !slice_is_over(cpu);
}

void yield_current(Thread& thread) {
    enqueue(thread, this_cpu(), false);
    schedule();
}

void preempt(Thread& thread, bool front) {
    Cpu& here = this_cpu();
    if (here.slice_end != 0) {
        // It keeps what is left of its time slice: a new one each time would never end while
        // somebody more urgent comes by more often than slices end.
        const uint64_t now = arch::now_ns();
        thread.slice_left = now < here.slice_end ? here.slice_end - now : 0;
        front = front && thread.slice_left != 0;
        here.slice_end = 0;
    }
    if (!front) thread.slice_left = 0;
    const uint64_t allowed = thread.affinity;
    if ((allowed & bit_of(here.local.index)) != 0) {
        enqueue(thread, here, front);
        call_idle_cpu(allowed);
    } else {
        make_ready(thread);
    }
    schedule();
}

void change_affinity(Thread& thread, uint64_t mask) {
    const bool ready = remove_ready(thread);
    thread.affinity = mask;
    const uint64_t online = (uint64_t{2} << (online_cpus() - 1)) - 1;
    if (mask == online) {
        thread.remove_slow_reason(SlowReason::pinned);
    } else {
        thread.add_slow_reason(SlowReason::pinned);
    }
    if (ready) {
        make_ready(thread);
        return;
    }
    Cpu* cpu = thread.cpu.load(std::memory_order_relaxed);
    if (cpu == nullptr || (mask & bit_of(cpu->local.index)) != 0) return;
    if (cpu == &this_cpu()) {
        cpu->resched.store(true, std::memory_order_relaxed);
    } else {
        arch::send_ipi(cpu->local.index, vector_reschedule);
    }
}

bool remove_ready(Thread& thread) {
    Cpu* cpu = thread.cpu.load(std::memory_order_relaxed);
    if (cpu == nullptr) return false;
    SpinGuard guard(cpu->queue_lock);
    if (!cpu->run_queue.contains(thread)) return false;
    cpu->run_queue.remove(thread);
    return true;
}

void set_priority(Thread& thread, uint8_t priority) {
    Cpu* cpu = thread.cpu.load(std::memory_order_relaxed);
    if (cpu == nullptr) {
        thread.priority = priority;
        return;
    }
    bool ready;
    bool less;
    {
        SpinGuard guard(cpu->queue_lock);
        ready = cpu->run_queue.contains(thread);
        if (ready) cpu->run_queue.remove(thread);
        less = priority < thread.priority;
        thread.priority = priority;
        if (ready) cpu->run_queue.push_back(thread);
    }
    // If it runs and got less urgent, somebody who waits may be more urgent now.
    if (ready || less) poke(*cpu, ready ? priority : uint8_t{abi::priority_count - 1});
}

void watch_slice(Cpu& cpu, Thread& thread) {
    const uint64_t left = std::exchange(thread.slice_left, 0);
    // Whoever comes from another CPU interrupts this one.
    if (cpu.run_queue.looks_empty()) return;
    bool shared;
    {
        SpinGuard guard(cpu.queue_lock);
        shared = !cpu.run_queue.empty() && cpu.run_queue.highest() >= thread.priority;
    }
    if (!shared) return;
    if (cpu.slice_end != 0 && !slice_is_over(cpu)) return;
    const uint64_t whole = default_slice_ns * thread.slice_percent / 100;
    cpu.slice_end = arch::now_ns() + (left != 0 ? left : whole);
    program_timer(cpu);
}

void scheduler_init(Cpu& cpu) {
    cpu.reaper_node.priority = 0;
    cpu.online = true;
}

void idle_loop() {
    Cpu& cpu = this_cpu();
    account_cycles(cpu);
    cpu.current = nullptr;
    cpu.slice_end = 0;
    for (;;) {
        free_retired_here();
        grace_settle(cpu);
        // Sequentially consistent: first the flag, then the look at the queue.
        idle_cpus.fetch_or(bit_of(cpu.local.index), std::memory_order_seq_cst);
        bool empty;
        {
            SpinGuard guard(cpu.queue_lock);
            empty = cpu.run_queue.empty();
        }
        if (empty) program_timer(cpu);
        if (empty && page_allocator().zero_some(1) != 0) {
            // Instead of sleeping, a page was made ready for whoever needs one. Interrupts wait for
            // one page at most.
            arch::allow_interrupts();
        } else if (empty) {
            grace_sleep(cpu);
            cpu.idle_time.begin(arch::now_ns());
            // kernel_interrupt() calls grace_wake() before it looks at anything.
            arch::wait_for_interrupt();
            cpu.idle_time.end(arch::now_ns());
            ++cpu.wakeups;
        }
        idle_cpus.fetch_and(~bit_of(cpu.local.index), std::memory_order_relaxed);
        cpu.resched.store(false, std::memory_order_relaxed);
        grace_settle(cpu);
        RunQueueNode* node;
        {
            SpinGuard guard(cpu.queue_lock);
            node = cpu.run_queue.pop_highest();
        }
        if (node != nullptr) run_node(cpu, *node);
        if (Thread* stolen = steal(cpu)) switch_to(*stolen);
    }
}

}  // namespace annulus::kernel
