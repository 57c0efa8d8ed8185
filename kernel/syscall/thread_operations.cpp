// SPDX-License-Identifier: MIT
// Operations on threads.
#include "arch/clock.h"
#include "kernel/lock/spin_lock.h"
#include "kernel/object/budget.h"
#include "kernel/object/semaphore.h"
#include "kernel/object/table.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/syscall/invocation.h"

namespace annulus::kernel {

namespace {

bool stopped(const Thread& thread) {
    return thread.status.load(std::memory_order_acquire) == ThreadStatus::stopped;
}

// Held while the registers of a stopped thread are read or written, and while it is resumed: its
// next fault would write them. One for all: it is held for some fifty moves.
constinit SpinLock registers_lock{LockRank::process};

abi::ThreadRegisters registers_of(const Thread& thread) {
    const arch::TrapFrame& frame = thread.frame;
    return {
        .rax = frame.rax,
        .rbx = frame.rbx,
        .rcx = frame.rcx,
        .rdx = frame.rdx,
        .rsi = frame.rsi,
        .rdi = frame.rdi,
        .rbp = frame.rbp,
        .rsp = frame.rsp,
        .r8 = frame.r8,
        .r9 = frame.r9,
        .r10 = frame.r10,
        .r11 = frame.r11,
        .r12 = frame.r12,
        .r13 = frame.r13,
        .r14 = frame.r14,
        .r15 = frame.r15,
        .rip = frame.rip,
        .rflags = frame.rflags,
        .fs_base = thread.fs_base,
        .gs_base = thread.gs_base,
    };
}

}  // namespace

Status thread_remove_kill(Invocation& invocation) {
    const uint64_t code = invocation.words[0];
    invocation.set_results(0);
    kill_thread(invocation.object<Thread>(), abi::EndReason::killed, code);
    return {};
}

Status thread_get_state(Invocation& invocation) {
    const auto& thread = invocation.object<Thread>();
    const abi::ThreadState state{
        .reason = thread.end_reason,
        .fault = thread.fault,
        .fault_address = thread.fault_address,
        .exit_code = thread.exit_code,
        .stopped = stopped(thread) ? 1u : 0u,
        // A server thread that waits has only its own, whatever it was lent last.
        .priority = Table::waits(thread) ? thread.own_priority : thread.priority,
        .cpu_ns = arch::cycles_to_ns(thread.cpu_cycles),
    };
    invocation.set_results(0);
    return invocation.write_record(state).status();
}

Status thread_get_registers(Invocation& invocation) {
    const auto& thread = invocation.object<Thread>();
    abi::ThreadRegisters registers;
    {
        SpinGuard guard(registers_lock);
        if (!stopped(thread)) return Error::wrong_state;
        registers = registers_of(thread);
    }
    invocation.set_results(0);
    return invocation.write_record(registers).status();
}

Status thread_set_registers(Invocation& invocation) {
    auto& thread = invocation.object<Thread>();
    abi::ThreadRegisters from;
    const auto read = invocation.read_record(from);
    if (!read.ok()) return read.status();
    if (from.fs_base >= abi::user_end || from.gs_base >= abi::user_end) return invocation.bad(0);
    SpinGuard guard(registers_lock);
    if (!stopped(thread)) return Error::wrong_state;
    arch::TrapFrame& frame = thread.frame;
    frame.rax = from.rax, frame.rbx = from.rbx, frame.rcx = from.rcx, frame.rdx = from.rdx;
    frame.rsi = from.rsi, frame.rdi = from.rdi, frame.rbp = from.rbp, frame.rsp = from.rsp;
    frame.r8 = from.r8, frame.r9 = from.r9, frame.r10 = from.r10, frame.r11 = from.r11;
    frame.r12 = from.r12, frame.r13 = from.r13, frame.r14 = from.r14, frame.r15 = from.r15;
    frame.rip = from.rip, frame.rflags = from.rflags;
    arch::sanitize_user_frame(frame, abi::user_end);
    thread.fs_base = from.fs_base;
    thread.gs_base = from.gs_base;
    invocation.set_results(0);
    return {};
}

Status thread_set_resume(Invocation& invocation) {
    auto& thread = invocation.object<Thread>();
    ThreadStatus expected = ThreadStatus::stopped;
    {
        SpinGuard guard(registers_lock);
        // Acquire-release: against a kill at the same time: one of us gets the thread.
        if (!thread.status.compare_exchange_strong(expected, ThreadStatus::blocked,
                                                   std::memory_order_acq_rel)) {
            return Error::wrong_state;
        }
    }
    thread.fault = abi::FaultKind::none;
    make_ready(thread);
    invocation.set_results(0);
    return {};
}

Status thread_set_priority(Invocation& invocation) {
    auto& thread = invocation.object<Thread>();
    const uint64_t priority = invocation.words[0];
    if (priority > thread.ceiling) return invocation.bad(0);
    thread.own_priority = static_cast<uint8_t>(priority);
    set_priority(thread, static_cast<uint8_t>(priority));
    invocation.set_results(0);
    return {};
}

Status thread_set_affinity(Invocation& invocation) {
    auto& thread = invocation.object<Thread>();
    const uint64_t online = (uint64_t{2} << (online_cpus() - 1)) - 1;
    const uint64_t mask = invocation.words[0] == 0 ? online : invocation.words[0] & online;
    if (mask == 0) return invocation.bad(0);
    invocation.set_results(0);
    change_affinity(thread, mask);
    return {};
}

Status thread_watch_exit(Invocation& invocation) {
    auto semaphore = invocation.operand<Semaphore>(0);
    if (!semaphore.ok()) return semaphore.status();
    auto& thread = invocation.object<Thread>();
    invocation.set_results(0);
    return thread.exit_watches.add(*invocation.process.budget, **semaphore, false).status();
}

}  // namespace annulus::kernel
