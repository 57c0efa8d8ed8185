// SPDX-License-Identifier: MIT
// All processes, and sweeps over their handle tables: how a destroyed budget's objects lose the
// handles that others have to them.
//
// One sweep is under way at a time; requests that come meanwhile share the next one. Each step
// looks at abi::chunk_items entries. Locking: one lock of rank `process`.
#pragma once

#include "base/intrusive_list.h"

#include <stdint.h>

namespace annulus::kernel {

class Process;
struct SweepLink;
struct ListedProcess;

// Embedded in what waits for a sweep.
struct HandleSweep : ListNode<SweepLink> {
    // Called once, by the reaper, without locks: every handle to an object that was dead when the
    // sweep was asked for is gone, except handles that are busy in a request or that moved
    // meanwhile.
    void (*done)(HandleSweep&) = nullptr;
    uint8_t priority = 0;
};

void sweep_dead_handles(HandleSweep& sweep);

// A process is listed while its handle table may be looked at. After remove_process() and a grace
// period no sweep looks at it any more.
void list_process(Process& process);
void unlist_process(Process& process);

}  // namespace annulus::kernel
