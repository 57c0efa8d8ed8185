// SPDX-License-Identifier: MIT
// TimerWheel: the timers of one CPU, as a hierarchy of wheels with 64 slots each.
//
//   level 8 |........|  one slot: 2^58 ns      A tick is 2^10 ns; a deadline is rounded up to one,
//   so
//     ...                                      a timer fires up to 1,024 ns late and never early.
//   level 1 |........|  one slot: 2^16 ns      Nine levels of 6 bits and the 10 bits of a tick make
//   level 0 |........|  one slot: one tick     64: every deadline has a slot, nothing wraps.
//
// Invariant: a timer lies at the level of the highest 6-bit digit in which its tick differs from
// `current_`, in the slot of that digit. So the lowest slot of the lowest level that has any is the
// earliest of all. When the time reaches a slot of a higher level, its timers move down.
//
// Adding and cancelling take the same few instructions however many timers there are; a timer
// moves down at most 8 times. All other work is done in steps that the caller bounds.
// Locking: none; the owner guards the wheel and its timers.
#pragma once

#include "abi/limits.h"
#include "base/bitmap.h"
#include "base/intrusive_list.h"

#include <stdint.h>

namespace annulus::kernel {

struct TimerLink;

// Part of whatever waits. Not moved while armed.
struct Timer : ListNode<TimerLink> {
    using Callback = void (*)(Timer&);

    // Called by TimerWheel::expire, after the timer was taken out. May add and cancel any timer.
    Callback callback = nullptr;
    // Written by TimerWheel::add. Absolute.
    uint64_t deadline_ns = abi::deadline_never;

    // True from add until the timer fires or is cancelled.
    bool armed() const { return linked(); }

private:
    friend class TimerWheel;
    uint16_t slot_ = 0;  // level * 64 + slot where it was put last
};

class TimerWheel {
public:
    static constexpr uint64_t tick_ns = 1024;

    // Arms a timer, which is not armed. A deadline at or before `now_ns` is due at once;
    // abi::deadline_never is armed and never fires. The times given to one wheel never decrease.
    void add(Timer& timer, uint64_t deadline_ns, uint64_t now_ns);

    // Disarms the timer. False: it was not armed (it has fired, or never was). True: it was in this
    // wheel; the caller knows that it was in no other.
    bool cancel(Timer& timer);

    // When to call expire or take_due next: 0 for at once, abi::deadline_never if there is no need.
    // Never later than any timer is to fire, but it may be earlier: then some timers move down and
    // the next answer is closer. At most 8 such steps precede any timer.
    uint64_t next_deadline() const;

    // Takes out one due timer, for callers that drop their lock before they act on it. `work` is
    // decreased for each timer taken out or moved down. Null with `work` left: nothing is due.
    Timer* take_due(uint64_t now_ns, uint32_t& work);

    struct Expired {
        uint32_t fired;
        bool more;  // call again: there may be work that was not done
    };
    // Calls the callbacks of due timers; takes out or moves down at most `max_items` timers.
    Expired expire(uint64_t now_ns, uint32_t max_items);

private:
    static constexpr uint32_t tick_shift = 10;
    static constexpr uint32_t level_bits = 6;
    static constexpr uint32_t slots = 1u << level_bits;
    static constexpr uint32_t levels = 9;
    static constexpr uint64_t last_tick = ~uint64_t{0} >> tick_shift;
    static_assert(tick_ns == uint64_t{1} << tick_shift);
    static_assert(tick_shift + levels * level_bits == 64 && slots == PriorityBitmap::size);

    using List = IntrusiveList<Timer, TimerLink>;

    void place(Timer& timer);
    bool advance(uint64_t tick);
    bool find_first(uint32_t& level, uint32_t& slot) const;
    uint64_t first_tick(uint32_t level, uint32_t slot) const;

    uint64_t current_ = 0;  // everything up to this tick has left the slots
    List due_;              // ready to fire
    List moving_;           // from a slot of a higher level, to be placed again
    List never_;            // beyond the end of time
    PriorityBitmap occupied_[levels];
    List slots_[levels][slots];
};

}  // namespace annulus::kernel
