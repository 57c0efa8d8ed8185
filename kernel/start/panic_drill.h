// SPDX-License-Identifier: MIT
// Panics on purpose, so that the report can be tested: debug kernels do as the command line says.
#pragma once

#include <string_view>

namespace annulus::kernel {

// The word `panic=` of the command line and what happens then:
//
//   assert     an assertion fails on the last CPU, while the others run programs or idle
//   fault      the last CPU reads where nothing is mapped
//   stack      the last CPU's kernel stack overflows
//   locked     the boot CPU panics while another one (the same, with one CPU) holds the console
//   noise      the boot CPU panics while all others write to the console without its lock
//   together   all CPUs panic at once
//   twice      writing the report faults
//   interrupt  an interrupt of the timer panics once a driver has taken the console
//
// Before the other CPUs start. An unknown value is logged, and nothing happens.
void choose_panic(std::string_view command_line);

// The boot CPU's part, with the number of CPUs that run, when the first program is ready to run;
// and every other CPU's, which waits for that. Both return where this CPU is to go on.
void begin_panic_drill(unsigned cpus);
void join_panic_drill(unsigned cpu);

}  // namespace annulus::kernel
