// SPDX-License-Identifier: MIT
// Words of the kernel's command line.
#pragma once

#include <string_view>

namespace annulus::kernel {

// The value of the last word `name=value`; words are separated by blanks. Empty: there is none.
constexpr std::string_view command_line_value(std::string_view line, std::string_view name) {
    std::string_view found;
    while (!line.empty()) {
        const std::string_view word = line.substr(0, line.find(' '));
        line.remove_prefix(word.size() < line.size() ? word.size() + 1 : word.size());
        if (word.size() <= name.size() || !word.starts_with(name)) continue;
        if (word[name.size()] == '=') found = word.substr(name.size() + 1);
    }
    return found;
}

}  // namespace annulus::kernel
