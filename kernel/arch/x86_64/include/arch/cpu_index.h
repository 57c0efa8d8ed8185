// SPDX-License-Identifier: MIT
// The running CPU's index.
#pragma once

#include "arch/cpu_local.h"

namespace annulus::arch {

inline uint32_t cpu_index() {
    uint32_t index;
    // Safety: GS base points to a CpuLocal. Not volatile: a CPU never becomes another one while
    // kernel code runs on it.
    asm("movl %%gs:%c1, %0" : "=r"(index) : "i"(offsetof(CpuLocal, index)));
    return index;
}

}  // namespace annulus::arch
