// SPDX-License-Identifier: MIT
// The host's stand-in for the running CPU: interrupts do not exist, features are the test's.
#pragma once

#include <stdint.h>

namespace annulus::arch {

struct CpuFeatures {
    bool fsgsbase;
};
// Hook.
const CpuFeatures& cpu_features();

inline void allow_interrupts() {}
inline bool interrupts_enabled() { return false; }

// Hook.
uint64_t read_random();

}  // namespace annulus::arch
