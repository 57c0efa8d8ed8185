// SPDX-License-Identifier: MIT
// The other CPUs: how many there are and how they start.
#pragma once

#include "abi/limits.h"

namespace annulus::arch {

inline constexpr unsigned cpus_max = abi::cpus_max;

// CPUs that run, the boot CPU included: they have the indices 0 to cpu_count() - 1.
unsigned cpu_count();

// Starts every usable CPU that the firmware lists, up to cpus_max; each calls kernel_cpu_main. Asks
// kernel_cpu_area for their storage. Called once, by the boot CPU. A CPU that does not answer is
// logged and left out. Returns cpu_count().
unsigned start_other_cpus();

}  // namespace annulus::arch
