// SPDX-License-Identifier: MIT
// Operations that allocate, each undone at once.
#pragma once

#include "tests/guest/small_process.h"

#include <span>

namespace annulus::test::allocation {

// What the operations are performed on. Nothing of it changes.
struct World {
    static Result<World> create(const Context& test);

    BudgetReference budget;
    BudgetReference own;
    ProcessReference process;
    Memory code;
    Memory memory;  // 8 pages, of `budget`
    Memory filled;  // 100 pages, of `budget`
    Semaphore semaphore;
    Table table;
    Served served;
    SmallProcess living;  // one of its threads waits for ever
    Thread waiting;
};

struct Operation {
    const char* name;
    Result<void> (*perform)(const World& world);
};

extern const std::span<const Operation> operations;

}  // namespace annulus::test::allocation
