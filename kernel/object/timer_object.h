// SPDX-License-Identifier: MIT
// TimerObject: signals its semaphore at a time, once or periodically.
#pragma once

#include "kernel/object/object.h"
#include "kernel/object/watch.h"
#include "kernel/schedule/scheduler.h"

namespace annulus::kernel {

// Locking: `lock_` (rank `process`, as it guards an object's own state and is held alone) guards
// deadline, period and the arming; a timer that fires looks at them again under the lock, so a late
// firing after cancel or a new arm does nothing.
class TimerObject final : public Object {
public:
    // Charges timers and the watch. no_budget.
    static Result<Ref<TimerObject>> create(Budget& budget, Semaphore& semaphore);

    // Fires at `deadline` and then every `period_ns` (0: once). bad_argument: a period below
    // abi::timer_period_min_ns (detail: operand 1).
    Result<void> arm(uint64_t deadline, uint64_t period_ns);
    // True if it was armed.
    bool cancel();

    TimerObject(Budget* payer, uint32_t size);
    static const ObjectKind kind_table;

private:
    friend struct TimerEnd;
    static void fired(Timer& timer);
    bool cancel_locked() REQUIRES(lock_);

    SpinLock lock_{LockRank::process};
    Timer timer_;
    Cpu* where_ GUARDED_BY(lock_) = nullptr;
    uint64_t deadline_ GUARDED_BY(lock_) = 0;
    uint64_t period_ GUARDED_BY(lock_) = 0;
    bool armed_ GUARDED_BY(lock_) = false;
    bool ended_ GUARDED_BY(lock_) = false;  // nobody arms it any more
    bool charged_ = false;
    WatchList watches_;
};

}  // namespace annulus::kernel
