// SPDX-License-Identifier: MIT
// The heads of responses. Policy-free.
//
// There is no Date: the machine has no clock that knows the day (RFC 9110, 6.6.1 allows that).
#pragma once

#include <stdint.h>

#include <span>
#include <string_view>

namespace annulus::http {

struct ResponseHead {
    unsigned status = 0;
    std::string_view content_type;
    uint64_t content_length = 0;
    bool closes = false;        // the connection ends after this response
    std::string_view location;  // of a redirection: the target to add '/' to
};

// The reason phrase of a status that the server answers.
[[nodiscard]] std::string_view reason_of(unsigned status);

// The bytes before the body, in `buffer`; 3 KiB hold any of them.
[[nodiscard]] std::string_view format_head(std::span<char> buffer, const ResponseHead& head);

}  // namespace annulus::http
