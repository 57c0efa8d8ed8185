// SPDX-License-Identifier: MIT
// What the runtime itself needs of the environment. Set once at the start, before any constructor.
#pragma once

#include "runtime/environment.h"

#include <atomic>

namespace annulus {

struct ProgramState {
    Environment environment;
    BudgetReference budget;    // empty: not handed out
    ProcessReference process;  // empty: not handed out
    ObjectReference log;       // takes abi::stream_write; empty: lines are dropped
};

extern constinit ProgramState program_state;

// Threads that were started and not joined yet.
extern constinit std::atomic<unsigned> unjoined_threads;

}  // namespace annulus
