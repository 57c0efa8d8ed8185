// SPDX-License-Identifier: MIT
// The kernel's log: one line a call, written whole to the early console.
#pragma once

#include "base/format.h"

namespace annulus::kernel {

inline constexpr size_t log_line_max = 256;  // longer lines are cut off

// Writes a line; adds the line feed. Waits for other CPUs' lines. Interrupts must be off.
void log_line(std::string_view line);

// No line is written any more: a driver has the port. The caller holds the console's lock
// (arch::ConsoleLock), and so does who asks.
void stop_log();
bool log_stopped();

// log("cpu {} at {x}", index, address)
template <typename... Arguments>
void log(FormatPattern<std::type_identity_t<Arguments>...> pattern, const Arguments&... arguments) {
    char storage[log_line_max];
    log_line(format(storage, pattern, arguments...));
}

}  // namespace annulus::kernel
