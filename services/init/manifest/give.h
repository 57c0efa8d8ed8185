// SPDX-License-Identifier: MIT
// The names of what init hands out itself.
#pragma once

#include <string_view>

namespace annulus::init {

// True if `name` means, or may come to mean, an object of init's own, so that no program may
// provide it: "archive", "hardware.ports", "clock", everything below "hardware." and "root.".
[[nodiscard]] bool is_source_name(std::string_view name);

}  // namespace annulus::init
