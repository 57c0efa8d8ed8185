// SPDX-License-Identifier: MIT
// Starting over on the CPU's kernel stack, and the last steps into user mode.
#pragma once

#include "arch/cpu_local.h"
#include "arch/switch.h"

namespace annulus::kernel {

// Drops everything on this CPU's kernel stack and runs `function` at its top. What the caller kept
// there is gone, so it must not be referred to.
[[noreturn]] inline void run_on_fresh_stack(void (*function)()) {
    arch::jump_on_stack(arch::this_cpu().kernel_stack_top, function);
}

}  // namespace annulus::kernel
