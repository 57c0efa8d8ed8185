// SPDX-License-Identifier: MIT
// A CPU's timers and time slice, between the timing wheel and the hardware timer.
#pragma once

#include "kernel/schedule/scheduler.h"

namespace annulus::kernel {

// Sets the hardware timer to the earliest of the wheel's next deadline and the end of the slice, if
// it is not set to something earlier already.
void program_timer(Cpu& cpu);

// For the thread that runs next: starts a time slice if another one of its priority waits and none
// is under way. One that is goes on, also if nobody waits: so a signal and a wait in turn do not
// start one each time.
void watch_slice(Cpu& cpu, Thread& thread);

// Charges the cycles since the last call to the running thread.
void account_cycles(Cpu& cpu);

}  // namespace annulus::kernel
