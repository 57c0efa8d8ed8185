// SPDX-License-Identifier: MIT
// Table: the events of the semaphore set that is bound to it.
#include "kernel/object/semaphore_set.h"
#include "kernel/object/table.h"
#include "kernel/schedule/scheduler.h"

namespace annulus::kernel {

Result<void> Table::set_events(SemaphoreSet* set, bool ready) {
    Guard guard(*this);
    if (state_ != TableState::live) return end_status_;
    if (events_ != nullptr) return Error::busy;
    events_ = set;
    events_ready_ = ready;
    return {};
}

void Table::forget_events() {
    Guard guard(*this);
    events_ = nullptr;
    events_ready_ = false;
}

bool Table::note_events(bool ready) {
    SpinGuard guard(lock_);
    events_ready_ = ready;
    if (ready) {
        close_door_locked();
        return next_waiting_locked() != nullptr;
    }
    open_door_locked();
    return false;
}

bool Table::has_waiting_server() {
    Guard guard(*this);
    return next_waiting_locked() != nullptr;
}

// The message of an event; the thread's wait is over.
void Table::deliver_event_locked(Thread& server, const SetEventTaken& event) {
    const auto detail = static_cast<uint16_t>(abi::delivery_event |
                                              (event.closed ? abi::delivery_event_closed : 0));
    server.message = {};
    server.message.rax = server.reply_outcome | Status(Error::ok, detail).bits;
    server.reply_outcome = 0;
    server.remove_slow_reason(SlowReason::outcome);
    server.message.rdi = event.key;
    server.message.rdx = event.value;
    server.resume = Resume::message;
    server.priority = server.own_priority;
    server.set_hops(0);
    event_next_ = false;
}

Thread* Table::grant_event(const SetEventTaken& event) {
    Guard guard(*this);
    Thread* server = next_waiting_locked();
    if (server == nullptr) return nullptr;
    end_wait_locked(*server);
    deliver_event_locked(*server, event);
    return server;
}

// An event for a server thread that does not wait yet. False: there was none after all.
bool Table::take_event(Thread& server) {
    SemaphoreSet* set;
    {
        SpinGuard guard(lock_);
        set = events_;
    }
    // Safety: bound a moment ago, so the set's memory lasts until the kernel is left.
    SetEventTaken event;
    if (set == nullptr) return false;
    const auto taken = set->take(event);
    if (!taken.ok() || !*taken) return false;
    SpinGuard guard(lock_);
    deliver_event_locked(server, event);
    return true;
}

void Table::unbind_events() {
    SemaphoreSet* set;
    {
        SpinGuard guard(lock_);
        set = events_;
    }
    // Safety: as in take_event(). If the set unbinds itself meanwhile, this does nothing.
    if (set != nullptr) set->unbind();
}

}  // namespace annulus::kernel
