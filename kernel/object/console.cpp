// SPDX-License-Identifier: MIT
// The kernel's console on programs' behalf.
#include "kernel/object/console.h"

#include "arch/console.h"
#include "kernel/log.h"

namespace annulus::kernel {

namespace {
bool detach_console(Object&) { return true; }
void die_console(Object&) {}
void destruct_console(Object& object) { static_cast<Console&>(object).~Console(); }
}  // namespace

const ObjectKind Console::kind_table = {abi::ObjectType::console, detach_console, die_console,
                                        destruct_console};

Result<void> Console::write(std::string_view text) {
    const arch::ConsoleLock lock;
    if (log_stopped()) return Error::wrong_state;
    arch::console_write(text);
    return {};
}

int Console::leave() {
    // Under the lock: a line that is being written is finished first.
    const arch::ConsoleLock lock;
    stop_log();
    return arch::console_take_early();
}

}  // namespace annulus::kernel
