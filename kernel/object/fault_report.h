// SPDX-License-Identifier: MIT
// The report of a program that dies of a fault: a few lines in the kernel's log.
#pragma once

namespace annulus::kernel {

class Process;
struct Thread;

// Says which process, which fault, the registers, the top of the stack, and who called whom by
// frame pointers. `thread` is current, its frame complete; its memory is read with care, as it is
// what went wrong. At most 40 lines.
void report_fault(Process& process, const Thread& thread);

}  // namespace annulus::kernel
