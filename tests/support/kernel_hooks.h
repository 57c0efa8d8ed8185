// SPDX-License-Identifier: MIT
// What host tests can set of the hooks that the kernel's architecture part normally provides.
#pragma once

#include <stdint.h>

namespace annulus::test {

// The calling thread plays this CPU from now on. Threads start as CPU 0.
void play_cpu(uint32_t index);

}  // namespace annulus::test
