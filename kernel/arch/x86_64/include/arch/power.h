// SPDX-License-Identifier: MIT
// Turning the machine off, restarting it, and stopping it after a fatal error.
#pragma once

#include "arch/trap_frame.h"

#include <string_view>

namespace annulus::arch {

// Each tries what the machine has, in order, and halts when nothing works. The emulator's exit
// device comes first (status 33: clean, 37: `failed`), so that a test needs no firmware.
[[noreturn]] void power_off(bool failed);
[[noreturn]] void reboot();

// Stops all other CPUs by non-maskable interrupt, and waits a second for them at most; writes
// "panic: " and the message, the registers of `frame` when given, and a backtrace; leaves the
// emulator through its exit device (status 35), else halts. Takes no lock. Of several CPUs one
// reports and the others halt; a panic within the report ends it.
[[noreturn]] void stop_with_message(std::string_view message, const TrapFrame* frame = nullptr);

}  // namespace annulus::arch
