// SPDX-License-Identifier: MIT
// Starts one run of a program: its budget, the objects that it is handed, its process.
#pragma once

#include "base/archive.h"
#include "runtime/environment.h"
#include "runtime/spawn.h"
#include "services/init/served_objects.h"

namespace annulus::init {

// A program that runs. Destroying the budget ends it and takes everything back.
struct Running {
    Budget budget;
    Process process;
    uint64_t image_base = 0;  // as in Spawned
};

// What failed: in words such as "its budget", and the manifest's line.
struct LaunchFailure {
    std::string_view what;
    Place place;
};

class Launcher {
public:
    Launcher(const Environment& environment, const Archive& archive, const Server& server,
             Shared& shared)
        : environment_(environment), archive_(archive), server_(server), shared_(shared) {}

    // Everything that the program is handed by others is published. The doorbell rings when the
    // process ends or faults. On an error `failure` is set, and a budget that was made is in
    // `running`: the caller destroys it either way.
    Result<void> launch(uint16_t program, uint32_t run, Running& running, LaunchFailure& failure);

private:
    class Grants;

    Result<void> collect(uint16_t index, uint32_t run, BudgetReference budget, Grants& grants,
                         LaunchFailure& failure);
    Result<void> add_give(uint16_t program, const Give& give, BudgetReference budget,
                          Grants& grants);
    Result<void> add_own(const Give& give, std::string_view name, Grants& grants);
    Result<void> add_provided(const Give& give, Grants& grants);
    Result<ObjectReference> find_provided(const Give& give);
    Result<void> start(const Program& program, uint64_t seed, Grants& grants, Running& running);
    [[nodiscard]] uint64_t free_handles(const Program& program) const;

    const Environment& environment_;
    const Archive& archive_;
    const Server& server_;
    Shared& shared_;
};

}  // namespace annulus::init
