// SPDX-License-Identifier: MIT
// Writing log lines to the early console.
#include "kernel/log.h"

#include "arch/console.h"

namespace annulus::kernel {

namespace {
// Guarded by the console's lock.
constinit bool stopped = false;
}  // namespace

void stop_log() { stopped = true; }

bool log_stopped() { return stopped; }

void log_line(std::string_view line) {
    const arch::ConsoleLock lock;
    if (stopped) return;
    arch::console_write(line);
    arch::console_write("\n");
}

}  // namespace annulus::kernel
