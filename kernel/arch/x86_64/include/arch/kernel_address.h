// SPDX-License-Identifier: MIT
// What all addresses of the kernel have in common.
#pragma once

#include <stdint.h>

namespace annulus::arch {

// Set in every address of the kernel: it lies in the upper half (arch/address.h).
inline constexpr uint64_t kernel_address_bits = 0xffff800000000000;

}  // namespace annulus::arch
