// SPDX-License-Identifier: MIT
// Where a timer lies, how it moves down, and when it is due.
#include "kernel/schedule/timer_wheel.h"

#include "base/align.h"
#include "kernel/assert.h"

namespace annulus::kernel {

void TimerWheel::add(Timer& timer, uint64_t deadline_ns, uint64_t now_ns) {
    kernel_assert(!timer.armed(), "armed a timer that is armed already");
    timer.deadline_ns = deadline_ns;
    if (deadline_ns <= now_ns && deadline_ns != abi::deadline_never) {
        due_.push_back(timer);
    } else {
        place(timer);
    }
}

// Puts a timer where its tick belongs, seen from current_.
void TimerWheel::place(Timer& timer) {
    const uint64_t tick = divide_round_up(timer.deadline_ns, tick_ns);
    if (tick <= current_) {
        due_.push_back(timer);
        return;
    }
    if (tick > last_tick) {
        never_.push_back(timer);
        return;
    }
    const uint32_t level = floor_log2(tick ^ current_) / level_bits;
    const uint32_t slot = static_cast<uint32_t>(tick >> (level * level_bits)) % slots;
    timer.slot_ = static_cast<uint16_t>(level * slots + slot);
    slots_[level][slot].push_back(timer);
    occupied_[level].set(slot);
}

bool TimerWheel::cancel(Timer& timer) {
    if (!timer.armed()) return false;
    List::remove(timer);
    // A timer that has left its slot (it is due, or moving) still names it. That does no harm:
    // the bit is cleared only if the slot is empty.
    const uint32_t level = timer.slot_ / slots;
    const uint32_t slot = timer.slot_ % slots;
    if (slots_[level][slot].empty()) occupied_[level].clear(slot);
    return true;
}

// The earliest slot with timers; false if there is none.
bool TimerWheel::find_first(uint32_t& level, uint32_t& slot) const {
    for (level = 0; level < levels; ++level) {
        if (occupied_[level].empty()) continue;
        slot = occupied_[level].lowest();
        return true;
    }
    return false;
}

// The first tick of an occupied slot: current_ with this digit replaced and lower ones cleared.
uint64_t TimerWheel::first_tick(uint32_t level, uint32_t slot) const {
    const uint32_t shift = level * level_bits;
    return (current_ >> shift >> level_bits << level_bits | slot) << shift;
}

uint64_t TimerWheel::next_deadline() const {
    if (!due_.empty() || !moving_.empty()) return 0;
    uint32_t level = 0;
    uint32_t slot = 0;
    if (!find_first(level, slot)) return abi::deadline_never;
    return first_tick(level, slot) << tick_shift;
}

// Goes on to the earliest slot that begins at or before `tick` and empties it; false if there is
// none. due_ and moving_ are empty.
bool TimerWheel::advance(uint64_t tick) {
    uint32_t level = 0;
    uint32_t slot = 0;
    if (!find_first(level, slot) || first_tick(level, slot) > tick) {
        // No slot lies between, so all timers keep their level and slot.
        if (tick > current_) current_ = tick;
        return false;
    }
    current_ = first_tick(level, slot);
    occupied_[level].clear(slot);
    List& to = level == 0 ? due_ : moving_;
    to.splice_back(slots_[level][slot]);
    return true;
}

Timer* TimerWheel::take_due(uint64_t now_ns, uint32_t& work) {
    const uint64_t tick = now_ns >> tick_shift;
    for (;;) {
        if (work == 0) return nullptr;
        if (Timer* timer = due_.pop_front()) {
            --work;
            return timer;
        }
        if (Timer* timer = moving_.pop_front()) {
            --work;
            place(*timer);
        } else if (!advance(tick)) {
            return nullptr;
        }
    }
}

TimerWheel::Expired TimerWheel::expire(uint64_t now_ns, uint32_t max_items) {
    uint32_t work = max_items;
    uint32_t fired = 0;
    while (Timer* timer = take_due(now_ns, work)) {
        ++fired;
        timer->callback(*timer);
    }
    return {fired, work == 0 && next_deadline() <= now_ns};
}

}  // namespace annulus::kernel
