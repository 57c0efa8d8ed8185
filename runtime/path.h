// SPDX-License-Identifier: MIT
// Paths as abi/directory.h defines them: checked, and taken apart. Policy-free.
#pragma once

#include "abi/directory.h"

#include <stddef.h>

#include <string_view>

namespace annulus {

// One component: 1..255 bytes without '/' and NUL, neither "." nor "..".
constexpr bool is_name(std::string_view name) {
    if (name.empty() || name.size() > abi::name_bytes_max || name == "." || name == "..") {
        return false;
    }
    for (const char c : name) {
        if (c == '/' || c == '\0') return false;
    }
    return true;
}

// A path cut in two at one of its separators, which is in neither part.
struct PathParts {
    std::string_view first;
    std::string_view rest;
};

// The first component, and what follows it.
constexpr PathParts split_first(std::string_view path) {
    const size_t slash = path.find('/');
    if (slash == std::string_view::npos) return {path, {}};
    return {path.substr(0, slash), path.substr(slash + 1)};
}

// What leads to the last component, and that component.
constexpr PathParts split_last(std::string_view path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return {{}, path};
    return {path.substr(0, slash), path.substr(slash + 1)};
}

// The empty path, or components with one '/' between two of them.
constexpr bool is_path(std::string_view path) {
    if (path.empty()) return true;
    for (;;) {
        const size_t slash = path.find('/');
        if (!is_name(path.substr(0, slash))) return false;
        if (slash == std::string_view::npos) return true;
        path.remove_prefix(slash + 1);
    }
}

}  // namespace annulus
