// SPDX-License-Identifier: MIT
// Internals of stopping the machine.
#pragma once

#include <stdint.h>

namespace annulus::arch {

// True from the moment a CPU began to stop the machine. Any context.
bool machine_is_stopping();

// What the non-maskable interrupt of a CPU that stops the machine does to this one.
[[noreturn]] void stop_this_cpu();

// Leaves the emulator with status 2 * code + 1 when it has an exit device at port 0xf4.
void leave_emulator(uint32_t code);

inline constexpr uint32_t exit_code_clean = 0x10;
inline constexpr uint32_t exit_code_panic = 0x11;
inline constexpr uint32_t exit_code_failed = 0x12;  // a program said so

// Makes sure the first serial port works, or finds out that there is none.
void console_init();

}  // namespace annulus::arch
