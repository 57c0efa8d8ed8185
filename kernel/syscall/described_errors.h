// SPDX-License-Identifier: MIT
// Whether abi/operations.h says that an operation can answer an error. Debug builds ask it about
// every answer, so that each test, and each random call, also checks the descriptions.
#pragma once

#include "abi/errors.h"
#include "abi/operations.h"

#include <cstddef>
#include <string_view>

namespace annulus::kernel {

// True if `name` is one of the names in `list`: "one, two (words), three".
constexpr bool lists_error(std::string_view list, std::string_view name) {
    for (size_t at = list.find(name); at != list.npos; at = list.find(name, at + 1)) {
        const size_t end = at + name.size();
        const bool begins = at == 0 || (at >= 2 && list.substr(at - 2, 2) == ", ");
        const bool ends = end == list.size() || list[end] == ',' || list.substr(end, 2) == " (";
        if (begins && ends) return true;
    }
    return false;
}

constexpr bool describes(const abi::Operation& operation, abi::Error error) {
    if (error == abi::Error::ok) return true;
    for (const abi::Error common : abi::common_errors) {
        if (common == error) return true;
    }
    return lists_error(operation.errors, abi::name_of(error));
}

static_assert(lists_error("no_room, limit (16 at most), closed", "limit"));
static_assert(lists_error("no_room, limit", "limit") && lists_error("no_room", "no_room"));
static_assert(!lists_error("no_room, limit", "no_roo") && !lists_error("unlimited", "limit"));
static_assert(!lists_error("busy (no, limit of it)", "it") && !lists_error("", "busy"));

}  // namespace annulus::kernel
