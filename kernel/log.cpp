// SPDX-License-Identifier: MIT
// Writing log lines to the early console.
#include "kernel/log.h"

#include "arch/console.h"

namespace annulus::kernel {

void log_line(std::string_view line) {
    const arch::ConsoleLock lock;
    arch::console_write(line);
    arch::console_write("\n");
}

}  // namespace annulus::kernel
