// SPDX-License-Identifier: MIT
// The objects that init serves to programs: a directory for what they provide, and the log.
//
// Each is made for one run of one program and ends with its last handle. None ever waits for a
// program, so no program can hold up init.
#pragma once

#include "runtime/server.h"
#include "services/init/exports/export_registry.h"
#include "services/init/log/system_log.h"
#include "services/init/program_board.h"

namespace annulus::init {

// What init's threads share. `mutex` guards `exports`; `doorbell` rings when the supervisor has
// something to look at.
struct Shared {
    const Manifest& manifest;
    SystemLog& log;
    ExportRegistry& exports;
    Mutex& mutex;
    BinarySemaphore& doorbell;
    ProgramBoard& board;
    BudgetReference root;  // the root budget
};

// A directory in which this run of the program publishes (abi/directory.h).
Result<Served> make_directory(const Server& server, Shared& shared, uint16_t program, uint32_t run);

// A stream that takes lines for the system's log; they get the program's name (abi/stream.h).
Result<Served> make_log(const Server& server, Shared& shared, uint16_t program);

// What hands out the object that `give`, which is renewable, names (abi/source.h).
Result<Served> make_source(const Server& server, Shared& shared, const Give& give);

}  // namespace annulus::init
