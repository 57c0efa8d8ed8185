// SPDX-License-Identifier: MIT
// TimerObject: arming, firing and ending.
#include "kernel/object/timer_object.h"

#include "arch/clock.h"
#include "base/container_of.h"
#include "kernel/object/budget.h"
#include "kernel/object/semaphore.h"

namespace annulus::kernel {

struct TimerEnd {
    static bool detach(Object& object) {
        die(object);
        auto& timer = static_cast<TimerObject&>(object);
        if (timer.charged_) timer.budget->uncharge(abi::Resource::timers, 1);
        return true;
    }
    static void die(Object& object) {
        auto& timer = static_cast<TimerObject&>(object);
        {
            SpinGuard guard(timer.lock_);
            timer.ended_ = true;
            timer.cancel_locked();
        }
        timer.watches_.clear();
    }
    static void destruct(Object& object) { static_cast<TimerObject&>(object).~TimerObject(); }
};

const ObjectKind TimerObject::kind_table = {abi::ObjectType::timer, TimerEnd::detach, TimerEnd::die,
                                            TimerEnd::destruct};

TimerObject::TimerObject(Budget* payer, uint32_t size) : Object(kind_table, payer, size) {
    timer_.callback = fired;
}

Result<Ref<TimerObject>> TimerObject::create(Budget& budget, Semaphore& semaphore) {
    auto timer = TRY(budget.create<TimerObject>());
    TRY(budget.charge(abi::Resource::timers, 1));
    timer->charged_ = true;
    TRY(timer->watches_.add(budget, semaphore, true));
    return timer;
}

Result<void> TimerObject::arm(uint64_t deadline, uint64_t period_ns) {
    if (period_ns != 0 && period_ns < abi::timer_period_min_ns) {
        return Status(Error::bad_argument, 1);
    }
    SpinGuard guard(lock_);
    // Merely looked up: its last handle may just have been closed.
    if (ended_) return Error::bad_handle;
    if (armed_) stop_timer(timer_, where_);
    armed_ = deadline != abi::deadline_never;
    deadline_ = deadline;
    period_ = period_ns;
    if (armed_ && !timer_.armed()) start_timer(timer_, deadline, where_);
    return {};
}

bool TimerObject::cancel() {
    SpinGuard guard(lock_);
    return cancel_locked();
}

bool TimerObject::cancel_locked() {
    const bool was_armed = armed_;
    if (armed_) stop_timer(timer_, where_);
    armed_ = false;
    return was_armed;
}

// Runs without locks, popped from its wheel. Periods that were missed coalesce into one signal.
void TimerObject::fired(Timer& timer) {
    auto& object = container_of(timer, &TimerObject::timer_);
    {
        SpinGuard guard(object.lock_);
        const uint64_t now = arch::now_ns();
        if (!object.armed_ || timer.armed()) return;
        if (object.deadline_ > now) {
            start_timer(timer, object.deadline_, object.where_);
            return;
        }
        object.armed_ = object.period_ != 0;
        if (object.armed_) {
            // The last firing that was due; a next one beyond the end of time is never.
            const uint64_t missed = (now - object.deadline_) / object.period_;
            const uint64_t due = object.deadline_ + missed * object.period_;
            object.armed_ = object.period_ < abi::deadline_never - due;
            object.deadline_ = due + object.period_;
        }
        if (object.armed_) {
            start_timer(timer, object.deadline_, object.where_);
        }
    }
    object.watches_.fire();
}

}  // namespace annulus::kernel
