// SPDX-License-Identifier: MIT
// Fills in a manifest's error: shared by the parser and the checks.
#pragma once

#include <array>
#include <span>

#include "base/format.h"
#include "services/init/manifest.h"

namespace annulus::init {

// Always false, for `return report(...)`.
template <typename... Arguments>
bool report(ManifestError& error, ManifestFault fault, Place place,
            FormatPattern<std::type_identity_t<Arguments>...> pattern,
            const Arguments&... arguments) {
    std::array<char, ManifestError::message_max> text{};
    error.fault = fault;
    error.place = place;
    error.set_message(format(std::span<char>(text), pattern, arguments...));
    return false;
}

}  // namespace annulus::init
