// SPDX-License-Identifier: MIT
// Numbers of the manifest: plain ones, sizes with K, M or G, and durations with ns, us, ms or s.
#pragma once

#include <stdint.h>

#include <optional>
#include <string_view>

namespace annulus::init {

enum class Unit : uint8_t {
    none,      // 4, 0x3f8
    bytes,     // 4096, 128K, 2M, 1G: powers of 1024
    duration,  // 250ms: a unit is required; the value is in nanoseconds
};

// The value of all of `text`; nothing if it is malformed or above 2^64 - 1. Decimal numbers have no
// leading zeros (which elsewhere mean octal); hexadecimal ones begin with 0x.
[[nodiscard]] std::optional<uint64_t> parse_number(std::string_view text, Unit unit);

}  // namespace annulus::init
