// SPDX-License-Identifier: MIT
// The host's stand-in for the architecture's part of the per-CPU area: each test thread plays one
// CPU.
#pragma once

#include <stdint.h>

namespace annulus::arch {

struct CpuLocal {
    uint32_t index;
};

// Hook: the area of the CPU that the thread plays, first member of a kernel::Cpu. See
// tests/support/kernel_machine.h.
CpuLocal& this_cpu();

}  // namespace annulus::arch
