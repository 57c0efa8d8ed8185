// SPDX-License-Identifier: MIT
// Operations on rings, the one that makes them, and the system call `enter`.
#include "kernel/object/budget.h"
#include "kernel/object/ring.h"
#include "kernel/object/semaphore.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/syscall/invocation.h"
#include "kernel/syscall/system_calls.h"

namespace annulus::kernel {

Status budget_create_ring(Invocation& invocation) {
    const auto memory = invocation.operand<MemoryObject>(1);
    if (!memory.ok()) return memory.status();
    auto made = Ring::create(invocation.object<Budget>(), invocation.process, invocation.words[0],
                             **memory, invocation.words[2], invocation.words[3]);
    if (!made.ok()) return made.status();
    invocation.set_results(0);
    return invocation.give(0, std::move(*made), abi::all_rights).status();
}

Status ring_set_register(Invocation& invocation) {
    const auto memory = invocation.find_operand(1);
    if (!memory.ok()) return memory.status();
    const bool writable = (memory->rights & abi::right_of(abi::Verb::write)) != 0;
    const auto registered = invocation.object<Ring>().register_memory(
        invocation.words[0], static_cast<MemoryObject&>(*memory->object), invocation.words[2],
        invocation.words[3], writable);
    invocation.set_results(0);
    return registered.status();
}

Status ring_remove_unregister(Invocation& invocation) {
    const auto removed = invocation.object<Ring>().unregister_memory(invocation.words[0]);
    invocation.set_results(0);
    return removed.status();
}

Status ring_create_landing(Invocation& invocation) {
    uint64_t values[abi::moved_handles_max] = {};
    const auto reserved = invocation.object<Ring>().reserve_landings(invocation.words[0],
                                                                     invocation.words[1], values);
    invocation.set_results(values[0], values[1], values[2], values[3]);
    return reserved.status();
}

Status ring_get_state(Invocation& invocation) {
    const Ring::Counts counts = invocation.object<Ring>().counts();
    invocation.set_results(counts.entries, counts.in_flight, counts.unread, counts.faulted ? 1 : 0);
    return {};
}

Status ring_watch_completion(Invocation& invocation) {
    auto semaphore = invocation.operand<Semaphore>(0);
    if (!semaphore.ok()) return semaphore.status();
    auto& ring = invocation.object<Ring>();
    invocation.set_results(0);
    // A completion that came before: the watcher looks at the queue first.
    return ring.completion_watches.add(*invocation.process.budget, **semaphore, true, false)
        .status();
}

// --- enter: progress = ring, entries left, entries accepted, completions to wait for, deadline
// ------------------------------------------------------------------------------------

namespace {

// What enter was asked for, and how far it is.
struct Entering {
    Ring& ring;
    uint64_t left;
    uint64_t accepted;
    uint64_t completions;
    uint64_t deadline;
};

Ring& ring_of(Thread& thread) {
    // Safety: hold() put it there, with a reference.
    return *reinterpret_cast<Ring*>(thread.progress[0]);
}

void set_result(Thread& thread, Status status, uint64_t accepted, Ring& ring) {
    thread.message = {};
    thread.message.rax = status.bits;
    thread.message.rdx = accepted;
    thread.message.rsi = ring.counts().unread;
    thread.resume = Resume::message;
}

// False: the ring's last handle just went.
bool hold(Thread& thread, const Entering& entering) {
    if (!try_retain(entering.ring)) return false;
    thread.progress[0] = reinterpret_cast<uint64_t>(&entering.ring);
    thread.progress[1] = entering.left;
    thread.progress[2] = entering.accepted;
    thread.progress[3] = entering.completions;
    thread.progress[4] = entering.deadline;
    return true;
}

// --- waiting: the status is in the message

void wait_ended(Thread& thread) {
    thread.operation = nullptr;
    thread.wait_kind = WaitKind::none;
    Ring& ring = ring_of(thread);
    set_result(thread, Status(thread.message.rax), thread.progress[2], ring);
    release(ring);
    leave_kernel(thread);
    return_to_thread(thread);
}
void wait_abandoned(Thread& thread) { release(ring_of(thread)); }
constexpr LongOperation waiting = {wait_ended, wait_abandoned};

// Returns when there is no need to wait; the result is set.
void wait_for_completions(Thread& thread, const Entering& entering) {
    if (!hold(thread, entering)) {
        return set_result(thread, Error::closed, entering.accepted, entering.ring);
    }
    thread.operation = &waiting;
    thread.continuation = wait_ended;
    thread.resume = Resume::continuation;
    thread.message.rax = 0;
    const auto there = entering.ring.wait_for(thread, entering.completions, entering.deadline);
    if (there.ok() && !*there) schedule();
    thread.operation = nullptr;
    set_result(thread, there.status(), entering.accepted, entering.ring);
    release(entering.ring);
}

// --- submitting

void submit_step(Thread& thread);
void submit_abandoned(Thread& thread) {
    ring_of(thread).end_submitting();
    release(ring_of(thread));
}
constexpr LongOperation submitting = {submit_step, submit_abandoned};

// Takes chunk after chunk, with preemption points between them. Returns when all is taken that can
// be; the result is set.
void submit(Thread& thread, Entering entering) {
    Ring& ring = entering.ring;
    const auto chunk = static_cast<uint32_t>(
        entering.left < abi::chunk_items ? entering.left : uint64_t{abi::chunk_items});
    const Ring::Taken taken = ring.submit_some(thread, chunk);
    entering.left -= taken.count;
    entering.accepted += taken.count;
    if (entering.left > 0 && taken.count == abi::chunk_items && hold(thread, entering)) {
        continue_later(thread, submitting);
    }
    ring.end_submitting();
    const bool some = entering.accepted > 0;
    // Whoever finds no room may as well wait for the completions that make some.
    const bool may_wait = taken.status.ok() || taken.status.code() == Error::try_again;
    if (may_wait && entering.completions > 0) {
        return wait_for_completions(thread, entering);
    }
    set_result(thread, some ? Status() : taken.status, entering.accepted, ring);
}

void submit_step(Thread& thread) {
    // If this is the last reference, the ring still lasts until the kernel is left.
    Ring& ring = ring_of(thread);
    release(ring);
    submit(thread,
           {ring, thread.progress[1], thread.progress[2], thread.progress[3], thread.progress[4]});
    leave_kernel(thread);
    return_to_thread(thread);
}

}  // namespace

void system_call_enter(Thread& thread) {
    const Message& in = thread.message;
    const auto found =
        thread.process->handles.find(in.rdi, abi::ObjectType::ring, abi::right_enter);
    if (!found.ok()) return set_status(thread, found.status());
    const Entering entering = {static_cast<Ring&>(*found->object), in.rsi, 0, in.rdx, in.r10};
    if (entering.left == 0) return wait_for_completions(thread, entering);
    const auto begun = entering.ring.begin_submitting(thread);
    if (!begun.ok()) return set_status(thread, begun.status());
    submit(thread, entering);
}

}  // namespace annulus::kernel
