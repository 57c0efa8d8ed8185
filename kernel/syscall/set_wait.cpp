// SPDX-License-Identifier: MIT
// Waiting on a semaphore set: one event in registers, or several in the caller's array.
#include "arch/user_access.h"
#include "kernel/object/process.h"
#include "kernel/object/semaphore_set.h"
#include "kernel/schedule/scheduler.h"
#include "kernel/syscall/system_calls.h"

namespace annulus::kernel {

namespace {

// Where a thread that waits with an array keeps what it needs when it is granted.
enum Progress : unsigned { array, event_key, event_value, event_closed };

abi::SetEvent record_of(const SetEventTaken& event) {
    return {event.key, event.value, event.closed ? uint64_t{abi::event_closed} : 0};
}

bool write_event(uint64_t to, uint64_t index, const SetEventTaken& event) {
    const abi::SetEvent record = record_of(event);
    return arch::copy_to_user({to + index * sizeof(record)}, &record, sizeof(record));
}

void set_registers(Thread& thread, const SetEventTaken& event) {
    const uint16_t detail = event.closed ? abi::event_closed : 0;
    set_status(thread, Status(Error::ok, detail), event.key);
    thread.message.rsi = event.value;
    // The short way back leaves rsi zero.
    if (event.value == 0) return;
    const Message answer = thread.message;
    thread.message = {};
    thread.message.rax = answer.rax, thread.message.rdx = answer.rdx;
    thread.message.rsi = answer.rsi, thread.message.rbp = answer.rbp;
    thread.resume = Resume::message;
}

// The thread was granted an event while it slept, and has an array.
void finish_with_array(Thread& thread) {
    thread.wait_kind = WaitKind::none;
    const auto& progress = thread.progress;
    const SetEventTaken event = {progress[event_key], progress[event_value],
                                 progress[event_closed] != 0};
    const bool written = write_event(progress[array], 0, event);
    set_status(thread, written ? Status() : Status(Error::bad_address), written ? 1 : 0);
    return_to_thread(thread);
}

// Writes the first event, and as many more as are ready.
void fill_array(Thread& thread, SemaphoreSet& set, const SetWait& wait, SetEventTaken event) {
    for (uint64_t count = 0;;) {
        if (!write_event(wait.array, count, event)) {
            return set_status(thread, Status(Error::bad_address));
        }
        if (++count == wait.capacity) return set_status(thread, Status(), count);
        const auto more = set.take(event);
        if (!more.ok() || !*more) return set_status(thread, Status(), count);
    }
}

}  // namespace

void give_set_event(Thread& thread, const SetEventTaken& event) {
    if (thread.resume != Resume::continuation) {
        thread.wait_kind = WaitKind::none;
        return set_registers(thread, event);
    }
    thread.progress[event_key] = event.key;
    thread.progress[event_value] = event.value;
    thread.progress[event_closed] = event.closed ? 1 : 0;
}

void wait_on_set(Thread& thread, SemaphoreSet& set, const SetWait& wait, Thread* woken) {
    const bool poll = wait.deadline == abi::deadline_poll;
    thread.wait_kind = WaitKind::set;
    thread.status = ThreadStatus::blocked;
    thread.wait_record.store(WaitRecord::idle, std::memory_order_relaxed);
    set_status(thread, Status());
    if (wait.array != 0) {
        thread.progress[array] = wait.array;
        thread.continuation = finish_with_array;
        thread.resume = Resume::continuation;
    }
    // Before the wait can be seen: this CPU's timers cannot fire until the kernel is left.
    arm_deadline(thread, poll ? abi::deadline_never : wait.deadline);
    SetEventTaken event;
    const auto taken = set.take_or_queue(event, thread, poll);
    if (taken.ok() && !*taken) {
        if (woken != nullptr) hand_off(*woken);
        schedule();
    }
    disarm_deadline(thread);
    thread.wait_kind = WaitKind::none;
    thread.status = ThreadStatus::running;
    if (woken != nullptr) make_ready(*woken);
    if (!taken.ok()) return set_status(thread, taken.status());
    if (wait.array == 0) return set_registers(thread, event);
    fill_array(thread, set, wait, event);
}

}  // namespace annulus::kernel
