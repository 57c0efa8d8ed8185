// SPDX-License-Identifier: MIT
// Lines for whoever looks after the program: log("took {} of {}", a, b).
#pragma once

#include "abi/errors.h"
#include "abi/status.h"
#include "base/format.h"

#include <stddef.h>

#include <string_view>

namespace annulus {

// The longest line, with its newline: what the kernel's console takes at once.
inline constexpr size_t log_line_max = 1024;

// Writes `line` and a newline in one request, so that lines of several writers do not mix: to the
// stream `log`, else `output`, else to the kernel's `console`. With none of them it is dropped.
// Longer lines are cut.
void log_line(std::string_view line);

// Formats as base/format.h and writes the line.
template <typename... Arguments>
void log(FormatPattern<std::type_identity_t<Arguments>...> pattern, const Arguments&... arguments) {
    char buffer[log_line_max];
    log_line(format(buffer, pattern, arguments...));
}

// The name of an error, for a line: log("no window: {}", name_of(result)).
constexpr const char* name_of(abi::Status status) { return abi::name_of(status.code()); }
template <typename AnyResult>
    requires requires(const AnyResult& result) { result.error(); }
constexpr const char* name_of(const AnyResult& result) {
    return abi::name_of(result.error());
}

}  // namespace annulus
