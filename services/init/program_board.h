// SPDX-License-Identifier: MIT
// How each program is, and what was asked for from outside: between the supervisor, which writes
// the first and acts on the second, and the server of the object `system`.
//
// Locking: every function locks `mutex_`. The handles of a running program are used and taken back
// under it, so they are never used after they were closed.
#pragma once

#include "abi/system.h"
#include "runtime/mutex.h"
#include "services/init/manifest.h"

#include <optional>

namespace annulus::init {

class ProgramBoard {
public:
    static Result<ProgramBoard> create() { return ProgramBoard(TRY(Mutex::create())); }

    // The supervisor's side. The handles stay the caller's, until ends() was called.
    void starts(uint16_t program, ProcessReference process, BudgetReference budget);
    void ends(uint16_t program, abi::EndReason reason, uint64_t exit_code);
    void set_state(uint16_t program, abi::ProgramState state);
    bool take_kill(uint16_t program);
    std::optional<uint64_t> power_request();  // abi::power_off or abi::power_reboot

    // The server's side.
    abi::ProgramReport report(uint16_t program);
    bool request_kill(uint16_t program);  // false: it does not run
    void request_power(uint64_t kind);

private:
    struct Entry {
        abi::ProgramReport report{};
        ProcessReference process;
        BudgetReference budget;
        bool kill = false;
    };

    explicit ProgramBoard(Mutex mutex) : mutex_(std::move(mutex)) {}

    Mutex mutex_;
    std::array<Entry, manifest_programs_max> entries_ GUARDED_BY(mutex_);
    std::optional<uint64_t> power_ GUARDED_BY(mutex_);
};

}  // namespace annulus::init
