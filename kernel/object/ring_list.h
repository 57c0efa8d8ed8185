// SPDX-License-Identifier: MIT
// RingList: the rings whose entries name a process's handles.
#pragma once

#include "base/intrusive_list.h"
#include "base/result.h"
#include "kernel/lock/spin_lock.h"

#include <atomic>

namespace annulus::kernel {

class Ring;
struct RingOfProcess;

class RingList {
public:
    // limit: abi::process_rings_max.
    Result<void> add(Ring& ring);
    void remove(Ring& ring);
    // A handle of the process was closed. Cheap when there are no rings. No locks.
    void note_handle_closed() {
        // Relaxed: a ring that is being made right now has no operations.
        if (count_.load(std::memory_order_relaxed) != 0) tell_all();
    }

private:
    void tell_all();

    SpinLock lock_{LockRank::ring_list};
    IntrusiveList<Ring, RingOfProcess> rings_ GUARDED_BY(lock_);
    std::atomic<uint32_t> count_{0};
};

}  // namespace annulus::kernel
