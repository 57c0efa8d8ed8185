// SPDX-License-Identifier: MIT
// Names of the kernel's functions, from the table that the build adds to the image.
#pragma once

#include <stdint.h>

#include <string_view>

namespace annulus::arch {

struct Symbol {
    std::string_view name;  // empty: unknown
    uint64_t offset = 0;    // of the address within the function
};

// Looks up a code address. Touches constant memory alone; any context.
Symbol find_symbol(uint64_t address);

}  // namespace annulus::arch
