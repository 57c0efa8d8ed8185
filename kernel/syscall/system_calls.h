// SPDX-License-Identifier: MIT
// The system calls, one function each. The message is in thread.message, the user's rip, rflags and
// rsp in the thread. A function that returns has put the result there and set thread.resume; one
// that blocks or hands over does not return.
#pragma once

#include "kernel/schedule/thread.h"

namespace annulus::kernel {

void system_call_reply_and_wait(Thread& thread);
void system_call_wait(Thread& thread);
void system_call_wait_any(Thread& thread);
void system_call_signal(Thread& thread);
void system_call_signal_and_wait(Thread& thread);
[[noreturn]] void system_call_exit(Thread& thread);

// `enter`, by way of assembly: the operands, and the running thread, whose way back to user mode is
// saved. Returns the answer, with the count of unread completions in message.rsi, or does not
// return.
struct EnterAnswer {
    uint64_t status;
    uint64_t accepted;
};
extern "C" EnterAnswer kernel_enter(abi::Handle handle, uint64_t wanted, uint64_t deadline,
                                    Thread& thread);

class SemaphoreSet;

// What a wait on a set was asked for.
struct SetWait {
    uint64_t deadline;
    uint64_t array = 0;  // user address of abi::SetEvent[capacity]; 0: registers
    uint64_t capacity = 0;
};
// Waits on a set, sets the result and returns, or blocks. `woken` (or null) gets the CPU if this
// thread blocks.
void wait_on_set(Thread& thread, SemaphoreSet& set, const SetWait& wait, Thread* woken);

// Sets the result of a system call that returns a status and at most one word.
inline void set_status(Thread& thread, Status status, uint64_t value = 0) {
    thread.message.rax = status.bits;
    thread.message.rdx = value;
    thread.resume = Resume::status;
}

}  // namespace annulus::kernel
