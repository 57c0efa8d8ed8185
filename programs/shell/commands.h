// SPDX-License-Identifier: MIT
// The shell's commands.
#pragma once

#include "programs/shell/places.h"

namespace annulus::shell {

class Jobs;

// The words after the command's own. What goes wrong is told by the command.
using Arguments = std::span<const std::string_view>;

// Files (files.cpp).
void list(Shell& shell, Arguments arguments);
void show(Shell& shell, Arguments arguments);
void dump(Shell& shell, Arguments arguments);
void write(Shell& shell, Arguments arguments);
void copy(Shell& shell, Arguments arguments);
void create(Shell& shell, Arguments arguments);
void remove(Shell& shell, Arguments arguments);
void rename(Shell& shell, Arguments arguments);

// The system (system.cpp).
void processes(Shell& shell, const Jobs& jobs);
void show_process(Shell& shell, std::string_view name);
// Pages, CPUs, and how busy they are: since the start, or within the next seconds.
void show_machine(Shell& shell, Arguments arguments);
void kill_program(Shell& shell, std::string_view name);
void shut_down(Shell& shell, uint64_t kind);

}  // namespace annulus::shell
