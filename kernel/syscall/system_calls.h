// SPDX-License-Identifier: MIT
// The system calls, one function each. The message is in thread.message, the user's rip, rflags and
// rsp in the thread. A function that returns has put the result there and set thread.resume; one
// that blocks or hands over does not return.
#pragma once

#include "kernel/schedule/thread.h"

namespace annulus::kernel {

void system_call_call(Thread& thread);
void system_call_reply_and_wait(Thread& thread);
void system_call_wait(Thread& thread);
void system_call_wait_any(Thread& thread);
void system_call_signal(Thread& thread);
void system_call_signal_and_wait(Thread& thread);
[[noreturn]] void system_call_exit(Thread& thread);

// Blocks the running thread, whose wait is complete, and gives the CPU away.
[[noreturn]] void block_current(Thread& thread);

// Sets the result of a system call that returns a status and at most one word.
inline void set_status(Thread& thread, Status status, uint64_t value = 0) {
    thread.message.rax = status.bits;
    thread.message.rdx = value;
    thread.resume = Resume::status;
}

}  // namespace annulus::kernel
