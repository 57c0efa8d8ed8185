// SPDX-License-Identifier: MIT
// How the manifest and its messages name what a budget limits.
#pragma once

#include <stdint.h>

#include <string_view>

namespace annulus::init {

// The word of bit `bit` of ManifestBudget::stated, such as "pages"; empty for other bits.
[[nodiscard]] std::string_view budget_word(unsigned bit);

}  // namespace annulus::init
