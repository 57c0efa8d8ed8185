// SPDX-License-Identifier: MIT
// Ends in the way that its argument names: exit=<digit>, fault, or waits for ever. For tests of
// whoever looks after it.

#include "runtime/program.h"
#include "runtime/semaphore.h"

annulus::Result<void> annulus::program_main(Environment& environment) {
    if (environment.argument_count() != 1) return Error::bad_argument;
    if (const auto code = environment.argument("exit"); code.ok()) {
        log("exits with {}", *code);
        exit_program(static_cast<uint64_t>((*code)[0] - '0'));
    }
    if (environment.argument(0) == "fault") {
        log("writes to an address that it does not have");
        // Safety: meant to fault: no program has anything mapped there.
        *reinterpret_cast<volatile uint64_t*>(0x1230) = 1;
    }
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    const Semaphore never = TRY(budget.create_semaphore(0, 0, MemoryReference(), 0));
    log("waits");
    return wait_for(never).status();
}
