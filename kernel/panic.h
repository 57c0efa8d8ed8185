// SPDX-License-Identifier: MIT
// The end of the kernel: only for bugs in the kernel itself and for machines it cannot run on.
#pragma once

#include "arch/power.h"
#include "base/format.h"

namespace annulus::kernel {

// Stops all CPUs and reports. Takes no lock; works in any context.
template <typename... Arguments>
[[noreturn]] void panic(FormatPattern<std::type_identity_t<Arguments>...> pattern,
                        const Arguments&... arguments) {
    char storage[256];
    arch::stop_with_message(format(storage, pattern, arguments...));
}

// The same, with the registers of the context that went wrong.
template <typename... Arguments>
[[noreturn]] void panic_at(const arch::TrapFrame& frame,
                           FormatPattern<std::type_identity_t<Arguments>...> pattern,
                           const Arguments&... arguments) {
    char storage[256];
    arch::stop_with_message(format(storage, pattern, arguments...), &frame);
}

}  // namespace annulus::kernel
