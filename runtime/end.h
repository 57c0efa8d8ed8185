// SPDX-License-Identifier: MIT
// How a program ends: by its own will, or because it found itself broken.
#pragma once

#include <stdint.h>

#include <string_view>

namespace annulus {

// Ends every thread of this process; `code` is what whoever watches it reads. Destructors of
// globals do not run: the kernel takes everything back.
[[noreturn]] void exit_program(uint64_t code);

// Says why on the log and stops with a fault, so that the report shows where.
[[noreturn]] void panic(std::string_view why);

}  // namespace annulus
