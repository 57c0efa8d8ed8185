// SPDX-License-Identifier: MIT
// The reaper: long work in chunks, at the priority of whoever caused it.
//
// Each CPU has one reaper, a task that is scheduled like a thread but runs kernel code: it takes a
// work item, makes one step of at most abi::chunk_items items, and lets the scheduler choose again.
#pragma once

#include "base/intrusive_list.h"

#include <stdint.h>

namespace annulus::kernel {

struct WorkLink;

// Embedded in what has to be done; linked from reap() until the last step returned done.
struct Work : ListNode<WorkLink> {
    enum class Step : uint8_t { more, done };
    // One step, without locks. `done`: the reaper forgets the item before the call returns, so the
    // step may free it (the reaper unlinks it first and links it again on `more`).
    Step (*step)(Work&) = nullptr;
    uint8_t priority = 0;
};

// Hands work to this CPU's reaper. Any context without locks of rank `reaper` or above.
void reap(Work& work);

// The reaper task's body: one step of the most urgent item. Never returns.
[[noreturn]] void reaper_run();

// True when no CPU has work queued (tests, exact ledgers).
bool reaper_idle();

}  // namespace annulus::kernel
