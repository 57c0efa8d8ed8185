// SPDX-License-Identifier: MIT
// SemaphoreSet: waiting for very many semaphores and channel ends, by key.
//
// `Set` in generated/objects.h is the handle alone. For tasks, an executor has a set of its own
// (runtime/coroutine/executor.h).
#pragma once

#include "base/result.h"
#include "generated/objects.h"
#include "runtime/deadline.h"

#include <cstddef>
#include <span>
#include <utility>

namespace annulus {

// An event of a member: its unit is taken.
struct MemberEvent {
    uint64_t key = 0;
    uint64_t value = 0;   // sequence mode: the new value
    bool closed = false;  // the member ended, and is no member any more
};

class SemaphoreSet {
public:
    // With room for `members`, 1 to abi::set_members_max. no_budget, no_memory.
    static Result<SemaphoreSet> create(BudgetReference budget, unsigned members) {
        return SemaphoreSet(TRY(budget.create_set(members)));
    }
    static SemaphoreSet attach(Set set) { return SemaphoreSet(std::move(set)); }

    // `semaphore` needs the right to wait; `seen` is for sequence mode. busy, closed, limit.
    Result<void> add(ObjectReference semaphore, uint64_t key, uint64_t seen = 0) const {
        return set_.create_member(semaphore, key, seen);
    }
    // After it no wait gets the member's key. not_found.
    Result<void> remove(ObjectReference semaphore) const { return set_.remove_member(semaphore); }

    // The next event. timed_out, closed, busy (bound to a table).
    Result<MemberEvent> wait(Deadline deadline = Deadline::never()) const {
        for (;;) {
            const auto answer =
                system::short_call(abi::SystemCall::wait, set_.value(), 0, deadline.at, 0);
            if (answer.status.ok()) {
                const bool closed = (answer.status.detail() & abi::event_closed) != 0;
                return MemberEvent{answer.rdx, answer.rsi, closed};
            }
            // Many members had lost what made them ready: the wait goes on.
            if (answer.status.code() != Error::try_again) return answer.status;
        }
    }

    // As many events as are ready and fit (at most abi::set_events_max), at least one: how many.
    Result<size_t> wait(std::span<abi::SetEvent> events,
                        Deadline deadline = Deadline::never()) const {
        const size_t room =
            events.size() < abi::set_events_max ? events.size() : abi::set_events_max;
        for (;;) {
            // Safety: the kernel writes to the array and reports addresses that it cannot reach.
            const auto answer =
                system::short_call(abi::SystemCall::wait, set_.value(),
                                   reinterpret_cast<uint64_t>(events.data()), deadline.at, room);
            if (answer.status.ok()) return answer.rdx;
            if (answer.status.code() != Error::try_again) return answer.status;
        }
    }

    SetReference handle() const { return set_; }

private:
    explicit SemaphoreSet(Set set) : set_(std::move(set)) {}

    Set set_;
};

}  // namespace annulus
