// SPDX-License-Identifier: MIT
// A CPU's timers and time slice, between the timing wheel and the hardware timer.
#pragma once

#include "kernel/schedule/scheduler.h"

namespace annulus::kernel {

// Sets the hardware timer to the earliest of the wheel's next deadline and the end of the slice, if
// it is not set to something earlier already.
void program_timer(Cpu& cpu);

// Starts a time slice if another thread of the running one's priority waits; ends it if none does,
// unless it is lent: then the thread has what is left of it.
void watch_slice(Cpu& cpu, Thread& thread, bool lent = false);

// Charges the cycles since the last call to the running thread.
void account_cycles(Cpu& cpu);

}  // namespace annulus::kernel
