// SPDX-License-Identifier: MIT
// Programs that the shell started.
#pragma once

#include "programs/shell/commands.h"
#include "programs/shell/text/run_request.h"
#include "runtime/spawn.h"

#include <optional>

namespace annulus::shell {

// One program. Its budget is a part of the shell's, and goes back with it.
struct Job {
    static constexpr size_t name_max = 32;

    std::array<char, name_max> name{};
    size_t name_size = 0;
    Budget budget;
    Process process;
    Semaphore ended;
    bool reads_input = false;

    std::string_view name_text() const { return {name.data(), name_size}; }
};

class Jobs {
public:
    static constexpr size_t most = 8;

    explicit Jobs(Shell& shell) : shell_(shell) {}
    Jobs(const Jobs&) = delete;
    Jobs& operator=(const Jobs&) = delete;

    // The command `run`: until the program's end or Ctrl-C, unless it asks for the background.
    void run(Arguments arguments);

    // Ends the job of this number, or says that there is none.
    void kill(size_t number);

    // Tells of those that have ended, and forgets them.
    void collect();

    // A line for each.
    void print() const;

private:
    void wait(Job& job);
    void finish(Job& job);

    Shell& shell_;
    std::array<std::optional<Job>, most> jobs_;
};

}  // namespace annulus::shell
