// SPDX-License-Identifier: MIT
// Which CPU runs this code: the index of its slot in every per-CPU array.
#pragma once

#include "abi/limits.h"
#include "arch/cpu_index.h"

#include <stdint.h>

namespace annulus::kernel {

// The size of per-CPU arrays.
inline constexpr uint32_t max_cpus = abi::cpus_max;

// The calling CPU's index, below max_cpus. Stable, as interrupts are off in kernel mode.
inline uint32_t cpu_index() { return arch::cpu_index(); }

}  // namespace annulus::kernel
