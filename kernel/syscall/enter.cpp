// SPDX-License-Identifier: MIT
// The system call `enter`: submits entries of a ring, and waits for completions.
//
// The four operands come as arguments. What only checks handles and waits for nothing returns the
// way it came. All else ends in the thread's record, like any system call:
//
//   kernel_enter -> nops, chunk after chunk -> submit (anything) -> wait -> answer
//
// Each of these can be where a thread stands when it gives way: progress = ring, entries left,
// entries accepted, completions to wait for, deadline.
#include "kernel/object/ring_nops.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/syscall/invocation.h"
#include "kernel/syscall/system_calls.h"

#include <algorithm>

namespace annulus::kernel {

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

// What hold() kept. If it was the last reference, the ring still lasts until the kernel is left.
Entering resume(Thread& thread) {
    Ring& ring = ring_of(thread);
    release(ring);
    return {ring, thread.progress[1], thread.progress[2], thread.progress[3], thread.progress[4]};
}

[[noreturn]] void answer(Thread& thread, Status status, uint64_t accepted = 0,
                         uint64_t unread = 0) {
    // rbx, rbp and r12-r15 are there since the entry.
    Message& message = thread.message;
    message.rax = status.bits;
    message.rdx = accepted;
    message.rsi = unread;
    message.rdi = message.r8 = message.r9 = message.r10 = 0;
    thread.resume = Resume::message;
    leave_kernel(thread);
    return_to_thread(thread);
}

// --- waiting: the status is in the message

void wait_ended(Thread& thread) {
    thread.operation = nullptr;
    thread.wait_kind = WaitKind::none;
    const Entering entering = resume(thread);
    answer(thread, Status(thread.message.rax), entering.accepted, entering.ring.counts().unread);
}
void abandoned(Thread& thread) { release(ring_of(thread)); }
constexpr LongOperation waiting = {wait_ended, abandoned};

[[noreturn]] void wait_for_completions(Thread& thread, const Entering& entering) {
    if (!hold(thread, entering)) answer(thread, Error::closed, entering.accepted);
    thread.operation = &waiting;
    thread.continuation = wait_ended;
    thread.resume = Resume::continuation;
    thread.message.rax = 0;
    const auto there = entering.ring.wait_for(thread, entering.completions, entering.deadline);
    if (there.ok() && !*there) schedule();
    thread.operation = nullptr;
    release(entering.ring);
    answer(thread, there.status(), entering.accepted, entering.ring.counts().unread);
}

// Nothing more is to be taken, or nothing can be: `status`.
[[noreturn]] void stop_taking(Thread& thread, const Entering& entering, Status status) {
    // Whoever finds no room may as well wait for the completions that make some.
    const bool may_wait = status.ok() || status.code() == Error::try_again;
    if (may_wait && entering.completions > 0) wait_for_completions(thread, entering);
    if (entering.accepted > 0) status = {};
    answer(thread, status, entering.accepted, entering.ring.counts().unread);
}

// --- entries of every kind; the ring knows that this thread submits

[[noreturn]] void submit(Thread& thread, Entering entering);
void submit_step(Thread& thread) { submit(thread, resume(thread)); }
void submit_abandoned(Thread& thread) {
    ring_of(thread).end_submitting();
    release(ring_of(thread));
}
constexpr LongOperation submitting = {submit_step, submit_abandoned};

// Takes chunk after chunk, and gives way between them.
void submit(Thread& thread, Entering entering) {
    Ring& ring = entering.ring;
    const auto chunk = static_cast<uint32_t>(std::min(entering.left, uint64_t{abi::chunk_items}));
    const Ring::Taken taken = ring.submit_some(thread, chunk);
    entering.left -= taken.count;
    entering.accepted += taken.count;
    if (entering.left > 0 && taken.count == abi::chunk_items && hold(thread, entering)) {
        continue_later(thread, submitting);
    }
    ring.end_submitting();
    stop_taking(thread, entering, taken.status);
}

// --- nops

// The watches are looked at here as well, so that nothing is called for nothing.
[[gnu::always_inline]] inline Ring::Nops take_nops(Ring& ring, const Thread& thread,
                                                   uint64_t limit) {
    const Ring::Nops nops = ring.complete_nops(thread, limit);
    if (nops.watched) [[unlikely]]
        ring.completion_watches.fire();
    return nops;
}

[[noreturn]] void take(Thread& thread, Entering entering, Ring::Nops nops);
void take_step(Thread& thread) {
    const Entering entering = resume(thread);
    take(thread, entering, take_nops(entering.ring, thread, entering.left));
}
constexpr LongOperation taking = {take_step, abandoned};

// In steps of a chunk. `nops` were taken just now.
void take(Thread& thread, Entering entering, Ring::Nops nops) {
    Ring& ring = entering.ring;
    for (;; nops = take_nops(ring, thread, entering.left)) {
        entering.left -= nops.count;
        entering.accepted += nops.count;
        if (nops.all && nops.unread >= entering.completions) {
            answer(thread, {}, entering.accepted, nops.unread);
        }
        if (nops.all) stop_taking(thread, entering, {});
        if (nops.count < abi::chunk_items) break;
        if (!hold(thread, entering)) stop_taking(thread, entering, {});
        if (!may_continue(thread)) continue_later(thread, taking);
        release(ring);
    }
    if (entering.left == 0) stop_taking(thread, entering, {});
    const auto begun = ring.begin_submitting(thread);
    if (!begun.ok()) {
        if (entering.accepted > 0) stop_taking(thread, entering, {});
        answer(thread, begun.status());
    }
    submit(thread, entering);
}

// Remembers rings of the thread's own process.
Ring& ring_named(Thread& thread, abi::Handle handle) {
    RecentHandle& recent = thread.entered;
    // Relaxed: the object was seen when the entry got this word.
    if (handle == recent.handle &&
        recent.entry->word.load(std::memory_order_relaxed) == recent.word) [[likely]] {
        return static_cast<Ring&>(*recent.object);
    }
    const HandleTable& handles = thread.process->handles;
    const auto found = handles.find(handle, abi::ObjectType::ring, abi::right_enter);
    if (!found.ok()) answer(thread, found.status());
    auto& ring = static_cast<Ring&>(*found->object);
    // A value names one object with the same rights for ever, so what was checked holds for this.
    if (&ring.process() == thread.process) handles.remember(handle, recent);
    return ring;
}

// What a client adds while this works may be left for the next time.
uint64_t limit_of(uint64_t wanted) {
    return (wanted & abi::enter_only_waits) != 0 ? 0 : abi::ring_entries_max;
}

[[gnu::cold, gnu::noinline, noreturn]] void go_on(Thread& thread, Ring& ring, uint64_t wanted,
                                                  uint64_t deadline, Ring::Nops nops) {
    take(thread, {ring, limit_of(wanted), 0, wanted & ~abi::enter_only_waits, deadline}, nops);
}

}  // namespace

extern "C" EnterAnswer kernel_enter(abi::Handle handle, uint64_t wanted, uint64_t deadline,
                                    Thread& thread) {
    if constexpr (counters) ++this_cpu().counters.kernel_entries;
    Ring& ring = ring_named(thread, handle);
    const Ring::Nops nops = take_nops(ring, thread, limit_of(wanted));
    // Who is told of completions may be more urgent: that is looked at on the general way out.
    const bool more = !nops.all || nops.unread < (wanted & ~abi::enter_only_waits);
    if (more || nops.watched) [[unlikely]] {
        go_on(thread, ring, wanted, deadline, nops);
    }
    thread.message.rsi = nops.unread;
    return {Status().bits, nops.count};
}

}  // namespace annulus::kernel
