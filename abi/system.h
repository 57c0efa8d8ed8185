// SPDX-License-Identifier: MIT
// The system protocol: what init serves about the programs that it looks after. Names are those of
// the manifest.
//
// list 0       abi/directory.h: the programs, each an EntryKind::object
// get 0        in: bytes: a program's name; room for bytes    out: bytes: a ProgramReport
// list 1       in: word 0 cursor, 0 at first; bytes: a program's name; room for bytes
//              out: word 0 the next cursor, 0 when that was all; bytes: GrantRecords
// get 1        in: room for bytes               out: bytes: a MachineLedger; from version 1.1 on
// remove 0     in: bytes: a program's name     out: nothing; it is being killed, and then happens
//                                                   what its manifest says about faults
// shutdown 0   in: word 0 power_off or power_reboot      out: nothing; every program is ended, and
//                                                             then the machine is
//
// Errors: not_found (no such program), wrong_state (remove: it does not run), no_room (less room
// than one record takes).
#pragma once

#include "abi/directory.h"
#include "abi/records.h"

#include <stdint.h>

namespace annulus::abi {

inline constexpr uint32_t system_version = protocol_version(1, 1);

inline constexpr uint16_t system_get_program = 0;
inline constexpr uint16_t system_get_machine = 1;
inline constexpr uint16_t system_list_grants = 1;
inline constexpr uint16_t system_remove_program = 0;
inline constexpr uint16_t system_shutdown = 0;

enum class ProgramState : uint32_t {
    waiting = 0,  // for what others publish
    running = 1,
    over = 2,
};

struct ProgramReport {
    ProgramState state;
    uint32_t runs;       // how often it was started
    EndReason last_end;  // of the run before; alive: there was none
    uint32_t reserved;
    uint64_t last_exit_code;
    ProcessState process;  // this and the next: zero unless it runs
    BudgetLedger budget;
};

// An object that a program is handed. Its name and its source, as the manifest writes it, follow;
// then zeros up to the next multiple of 8 bytes, which record_bytes counts.
struct GrantRecord {
    Rights rights;
    uint32_t line;  // of the manifest
    uint16_t record_bytes;
    uint16_t name_bytes;
    uint16_t source_bytes;
    uint16_t reserved;
};
static_assert(sizeof(GrantRecord) == 16);

}  // namespace annulus::abi
