// SPDX-License-Identifier: MIT
// The host's stand-in for the running CPU's index: each test thread plays one CPU.
#pragma once

#include <stdint.h>

namespace annulus::arch {

// Hook: see play_cpu() in tests/support/kernel_hooks.h.
uint32_t cpu_index();

}  // namespace annulus::arch
