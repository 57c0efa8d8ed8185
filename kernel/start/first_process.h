// SPDX-License-Identifier: MIT
// The first process: the only one that the kernel loads.
#pragma once

#include "kernel/boot_info.h"

namespace annulus::kernel {

// Starts the boot archive's file `programs/init` with the handles of everything there is: budget
// (root), process (itself), archive, clock, hardware, power, console. Panics, naming what is wrong,
// when there is no such program or it cannot be loaded.
void start_first_process(const BootInfo& info);

}  // namespace annulus::kernel
