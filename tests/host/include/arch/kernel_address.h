// SPDX-License-Identifier: MIT
// The host's stand-in for what all addresses of the kernel have in common: nothing. They are those
// of a program, whose upper bits are clear.
#pragma once

#include <stdint.h>

namespace annulus::arch {

inline constexpr uint64_t kernel_address_bits = 0;

}  // namespace annulus::arch
