// SPDX-License-Identifier: MIT
// Waiting: wait, wait_any, signal, signal_and_wait, and how a wait is cancelled.
#include "arch/user_access.h"
#include "kernel/object/channel.h"
#include "kernel/object/process.h"
#include "kernel/object/ring.h"
#include "kernel/object/semaphore.h"
#include "kernel/object/semaphore_set.h"
#include "kernel/object/table.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/syscall/system_calls.h"

#include <bit>

namespace annulus::kernel {

namespace {

// The object that the handle names, with the type before the rights. A set only where `set_fits`.
Result<Found> find_waitable(Thread& thread, abi::Handle handle, abi::Rights right, bool set_fits) {
    const Found found = TRY(thread.process->handles.find(handle, abi::ObjectType::any, 0));
    const bool fits = found.type == abi::ObjectType::semaphore ||
                      found.type == abi::ObjectType::channel ||
                      (set_fits && found.type == abi::ObjectType::set);
    if (!fits) return Error::wrong_type;
    if ((found.rights & right) == 0) {
        return Status(Error::no_right, static_cast<uint16_t>(std::countr_zero(right)));
    }
    return found;
}

// A semaphore, or the bell of a channel's end: its own to wait for, its peer's to signal.
Result<Semaphore*> semaphore_of(const Found& found, abi::Rights right) {
    if (found.type == abi::ObjectType::channel && right == abi::right_signal) {
        return static_cast<ChannelEnd*>(found.object)->peer_bell();
    }
    if (found.type == abi::ObjectType::channel) {
        return static_cast<Semaphore*>(static_cast<ChannelEnd*>(found.object));
    }
    return static_cast<Semaphore*>(found.object);
}

Result<Semaphore*> find_semaphore(Thread& thread, abi::Handle handle, abi::Rights right) {
    const auto wanted = static_cast<uint32_t>(entry_word(0, abi::ObjectType::semaphore, right));
    Object* plain = thread.process->handles.find_plain(handle, wanted);
    if (plain != nullptr) return static_cast<Semaphore*>(plain);
    return semaphore_of(TRY(find_waitable(thread, handle, right, false)), right);
}

// Runs when a waiter for one semaphore was granted or cancelled: the status is in the message.
void prepare_wait(Thread& thread, WaitKind kind, uint64_t deadline) {
    thread.wait_kind = kind;
    thread.status = ThreadStatus::blocked;
    thread.wait_record.store(WaitRecord::idle, std::memory_order_relaxed);
    set_status(thread, Status());
    // Before the wait can be seen: this CPU's timers cannot fire until the kernel is left.
    arm_deadline(thread, deadline);
}

void undo_wait(Thread& thread) {
    disarm_deadline(thread);
    thread.wait_kind = WaitKind::none;
    thread.status = ThreadStatus::running;
}

// After the wait: the value that the grant carried goes to the thread's rdx.
void finish_wait(Thread& thread) {
    thread.wait_kind = WaitKind::none;
    thread.message.rdx = thread.granted_value;
    thread.resume = Resume::status;
    return_to_thread(thread);
}

// Waits for one semaphore; `woken` (or null) gets the CPU if this thread blocks.
void wait_for_one(Thread& thread, Semaphore& semaphore, uint64_t seen, uint64_t deadline,
                  Thread* woken) {
    const bool poll = deadline == abi::deadline_poll;
    prepare_wait(thread, WaitKind::semaphore, poll ? abi::deadline_never : deadline);
    thread.granted_value = 0;
    thread.continuation = finish_wait;
    thread.resume = Resume::continuation;
    thread.link.index = 0;
    const auto taken = semaphore.take_or_queue(thread.link, seen, poll);
    if (!taken.ok() && taken.error() == Error::try_again) {
        if (woken != nullptr) hand_off(*woken);
        schedule();
    }
    undo_wait(thread);
    if (woken != nullptr) make_ready(*woken);
    set_status(thread, taken.status(), taken.value_or(0));
}

// --- wait_any

struct Entries {
    abi::WaitEntry list[abi::wait_any_max];
    Semaphore* semaphores[abi::wait_any_max];
};

Result<void> ensure_links(Thread& thread) {
    if (thread.any_links != nullptr) return {};
    void* storage = TRY(thread.budget->allocate_bytes(sizeof(AnyLink) * abi::wait_any_max));
    thread.any_links = static_cast<AnyLink*>(storage);
    for (unsigned i = 0; i < abi::wait_any_max; ++i) {
        AnyLink* link = new (&thread.any_links[i]) AnyLink;
        link->entry = thread.handles;
        link->thread = &thread;
        link->index = i;
    }
    return {};
}

// Takes links that still stand in a queue out of it, from the one with this number on. Only the
// thread's own side does this, between its waits.
void unqueue_from(Thread& thread, uint32_t first) {
    for (uint32_t i = first; i < thread.any_count; ++i) {
        WaitLink& link = thread.any_links[i];
        // Acquire: pairs with the release of whoever took the link out.
        Semaphore* semaphore = link.semaphore.load(std::memory_order_acquire);
        if (semaphore != nullptr) semaphore->unqueue(link);
    }
    if (thread.any_count > first) thread.any_count = first;
}

void finish_wait_any(Thread& thread) {
    const WaitRecord record = thread.wait_record.load(std::memory_order_acquire);
    thread.wait_kind = WaitKind::none;
    if (is_granted(record)) {
        thread.message.rdx = granted_index(record);
        thread.message.rsi = thread.granted_value;
    }
    thread.resume = Resume::message;
    return_to_thread(thread);
}

// What the link waited for last, if the handle still names that; or null. If the link is in a
// queue, it stays.
[[gnu::always_inline]] inline Semaphore* same_again(const AnyLink& link, abi::Handle handle) {
    if (link.handle != handle) return nullptr;
    // Acquire: as in HandleTable::find_plain().
    if (link.entry->word.load(std::memory_order_acquire) != link.word) return nullptr;
    return link.named;
}

// Finds the semaphore, after the link has left the queue that it is in.
[[gnu::noinline]] Result<Semaphore*> find_another(Thread& thread, AnyLink& link,
                                                  abi::Handle handle) {
    // Acquire: as in unqueue_from().
    if (Semaphore* old = link.semaphore.load(std::memory_order_acquire)) old->unqueue(link);
    Semaphore* semaphore = TRY(find_semaphore(thread, handle, abi::right_wait));
    RecentHandle recent;
    // In sequence mode it depends on what was seen whether there is something: no place is kept.
    const bool keeps = semaphore->mode() != SemaphoreMode::sequence &&
                       thread.process->handles.remember(handle, recent);
    if (!keeps) recent.entry = thread.handles;
    link.handle = handle;
    link.entry = recent.entry;
    link.word = recent.word;
    link.named = semaphore;
    return semaphore;
}

// Finds the semaphores, and prepares the links for the next wait, whose number it takes. After an
// error nothing is lost but places.
Result<void> find_all(Thread& thread, Entries& entries, uint32_t count) {
    // Used up also if it comes to nothing: some links have it then, and stay queued.
    const uint64_t wait = ++thread.waits;
    AnyLink* const links = thread.any_links;
    for (uint32_t i = 0; i < count; ++i) {
        const abi::Handle handle = entries.list[i].semaphore;
        Semaphore* semaphore = same_again(links[i], handle);
        if (semaphore == nullptr) [[unlikely]] {
            const auto found = find_another(thread, links[i], handle);
            // Extra says which entry it was.
            if (!found.ok()) return Status(found.error(), found.status().detail(), i);
            semaphore = *found;
        }
        entries.semaphores[i] = semaphore;
        // Relaxed: seen by whoever sees the record of that wait.
        links[i].wait.store(wait, std::memory_order_relaxed);
    }
    unqueue_from(thread, count);
    return {};
}

Result<void> read_entries(Thread& thread, Entries& entries, uint64_t count) {
    if (count > abi::wait_any_max) return Error::too_many;
    if (count == 0) return Status(Error::bad_argument, 1);
    if (!arch::copy_from_user(entries.list, {thread.message.rdi}, count * sizeof(abi::WaitEntry))) {
        return Error::bad_address;
    }
    TRY(ensure_links(thread));
    return find_all(thread, entries, static_cast<uint32_t>(count));
}

void set_any_result(Thread& thread, Status status, uint64_t index, uint64_t value) {
    thread.message = {};
    thread.message.rax = status.bits;
    thread.message.rdx = index;
    thread.message.rsi = value;
    thread.resume = Resume::message;
}

// Queues on each semaphore in turn where the thread is not queued already. True: one was available,
// the result is set.
bool queue_on_all(Thread& thread, const Entries& entries, uint32_t count, bool poll) {
    for (uint32_t i = 0; i < count; ++i) {
        WaitLink& link = thread.any_links[i];
        // Sequentially consistent: see WaitLink. While it is queued there is no unit.
        if (link.queued.load()) [[likely]]
            continue;
        if (i >= thread.any_count) thread.any_count = i + 1;
        const auto taken = entries.semaphores[i]->take_or_queue(link, entries.list[i].seen, poll);
        if (taken.error() == Error::try_again || (poll && taken.error() == Error::timed_out)) {
            continue;
        }
        if (taken.error() == Error::busy) return false;  // an earlier entry was granted meanwhile
        // Sequence mode takes nothing, and a dead semaphore ends the wait: claim it, too.
        const WaitRecord arming = record_of(WaitRecord::arming, thread.waits);
        WaitRecord record = arming;
        thread.wait_record.compare_exchange_strong(record, granted_through(link.index),
                                                   std::memory_order_acq_rel);
        if (record != arming && granted_index(record) != i) return false;
        set_any_result(thread, taken.status(), i, taken.value_or(0));
        return true;
    }
    return false;
}

// Ends a wait that was granted while it was set up.
void set_granted_result(Thread& thread, const Entries& entries) {
    const uint32_t index = granted_index(thread.wait_record.load(std::memory_order_acquire));
    Semaphore& semaphore = *entries.semaphores[index];
    // The end of a semaphore grants, too. Acquire: pairs with the release in die().
    const bool closed = semaphore.dead.load(std::memory_order_acquire);
    set_any_result(thread, closed ? Status(Error::closed) : Status(), index, semaphore.answer());
}

// find_all() has prepared the links.
void wait_for_any(Thread& thread, const Entries& entries, uint32_t count, uint64_t deadline) {
    const bool poll = deadline == abi::deadline_poll;
    prepare_wait(thread, WaitKind::any, poll ? abi::deadline_never : deadline);
    thread.message = {};
    thread.granted_value = 0;
    thread.continuation = finish_wait_any;
    thread.resume = Resume::continuation;
    WaitRecord record = record_of(WaitRecord::arming, thread.waits);
    // Sequentially consistent: see WaitLink. From here on it may be granted.
    thread.wait_record.store(record);
    if (!queue_on_all(thread, entries, count, poll)) {
        const WaitRecord next =
            poll ? WaitRecord::idle : record_of(WaitRecord::waiting, thread.waits);
        // Acquire-release: from here on anybody may grant or cancel, or with `poll` nobody; or
        // somebody granted already.
        if (!thread.wait_record.compare_exchange_strong(record, next, std::memory_order_acq_rel)) {
            set_granted_result(thread, entries);
        } else if (poll) {
            set_any_result(thread, Error::timed_out, 0, 0);
        } else {
            schedule();
        }
    }
    undo_wait(thread);
}

}  // namespace

void system_call_wait(Thread& thread) {
    const Message& in = thread.message;
    const auto found = find_waitable(thread, in.rdi, abi::right_wait, true);
    if (!found.ok()) return set_status(thread, found.status());
    if (found->type == abi::ObjectType::set) {
        const SetWait wait = {.deadline = in.rdx, .array = in.rsi, .capacity = in.r10};
        if ((wait.array == 0) != (wait.capacity == 0)) {
            return set_status(thread, Status(Error::bad_argument, 3));
        }
        if (wait.capacity > abi::set_events_max) return set_status(thread, Error::too_many);
        return wait_on_set(thread, static_cast<SemaphoreSet&>(*found->object), wait, nullptr);
    }
    auto semaphore = semaphore_of(*found, abi::right_wait);
    if (!semaphore.ok()) return set_status(thread, semaphore.status());
    wait_for_one(thread, **semaphore, in.rsi, in.rdx, nullptr);
}

void system_call_signal(Thread& thread) {
    auto semaphore = find_semaphore(thread, thread.message.rdi, abi::right_signal);
    if (!semaphore.ok()) return set_status(thread, semaphore.status());
    set_status(thread, (*semaphore)->signal(thread.message.rsi).status());
}

void system_call_signal_and_wait(Thread& thread) {
    const Message in = thread.message;
    auto signalled = find_semaphore(thread, in.rdi, abi::right_signal);
    if (!signalled.ok()) return set_status(thread, signalled.status());
    const auto found = find_waitable(thread, in.rsi, abi::right_wait, true);
    if (!found.ok()) return set_status(thread, found.status());
    const bool on_set = found->type == abi::ObjectType::set;
    if (on_set && in.r10 != 0) return set_status(thread, Status(Error::bad_argument, 3));
    auto woken = (*signalled)->signal_for_hand_off();
    if (!woken.ok()) return set_status(thread, woken.status());
    if (on_set) {
        auto& set = static_cast<SemaphoreSet&>(*found->object);
        return wait_on_set(thread, set, {.deadline = in.rdx}, *woken);
    }
    auto waited = semaphore_of(*found, abi::right_wait);
    wait_for_one(thread, **waited, in.r10, in.rdx, *woken);
}

void system_call_wait_any(Thread& thread) {
    Entries entries;
    const uint64_t count = thread.message.rsi;
    const uint64_t deadline = thread.message.rdx;
    const auto ready = read_entries(thread, entries, count);
    if (!ready.ok()) return set_status(thread, ready.status());
    wait_for_any(thread, entries, static_cast<uint32_t>(count), deadline);
}

void leave_queues(Thread& thread) { unqueue_from(thread, 0); }

// Changes the wait's record to dead. True: this call did.
static bool claim_wait(Thread& thread) {
    // Acquire: pairs with the store before the door named the thread. A fast path that ends the
    // wait clears this before it leaves the door, and the object's end comes through the door: so
    // the object outlives this stay in the kernel.
    if (Object* object = thread.alone_at.load(std::memory_order_acquire)) {
        const bool won = object->type() == abi::ObjectType::set
                             ? static_cast<SemaphoreSet*>(object)->cancel(thread)
                             : static_cast<Semaphore*>(object)->cancel(thread);
        if (won) return true;
    }
    return thread.win_wait(WaitRecord::dead);
}

// The caller has won the wait: takes the thread out of it.
static void leave_wait(Thread& thread, Error error) {
    disarm_deadline(thread);
    switch (thread.wait_kind) {
        case WaitKind::semaphore:
            if (Semaphore* semaphore = thread.link.semaphore.load(std::memory_order_acquire)) {
                semaphore->unqueue(thread.link);
            }
            thread.message.rax = Status(error).bits;
            break;
        case WaitKind::any: thread.message.rax = Status(error).bits; break;
        case WaitKind::set:
            if (SemaphoreSet* set = thread.waits_on_set.load(std::memory_order_acquire)) {
                set->unqueue(thread);
            }
            set_status(thread, Status(error));
            break;
        case WaitKind::ring:
            // Safety: kernel_enter put it there, with a reference.
            reinterpret_cast<Ring*>(thread.progress[0])->cancel_wait(thread);
            thread.message.rax = Status(error).bits;
            break;
        default: break;
    }
}

bool cancel_wait(Thread& thread, Error error) {
    if (Table::cancel(thread, error)) return true;
    if (!claim_wait(thread)) return false;
    leave_wait(thread, error);
    return true;
}

bool time_out_wait(Thread& thread) {
    // The record first: acquire, so that the deadline is that of this wait or of a later one, with
    // which the record changes. A wait in a door has no deadline.
    const WaitRecord seen = thread.wait_record.load(std::memory_order_acquire);
    if (!deadline_came(thread)) return false;
    if (Table::cancel(thread, Error::timed_out)) return true;
    if (!thread.win_wait(seen, WaitRecord::dead)) return false;
    leave_wait(thread, Error::timed_out);
    return true;
}

}  // namespace annulus::kernel
