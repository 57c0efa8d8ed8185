// SPDX-License-Identifier: MIT
// Directories by synchronous calls.

#include "runtime/directory.h"

#include "abi/directory.h"

namespace annulus {

Result<void> Directory::publish_handle(std::string_view name, abi::Handle object) const {
    constexpr unsigned moves_word_0 = 1;
    constexpr uint64_t operation =
        abi::operation_word(abi::Verb::share, abi::directory_share, moves_word_0);
    const auto bytes = std::as_bytes(std::span(name));
    return system::call_buffer(value(), operation, system::buffer_in(bytes), object).status;
}

}  // namespace annulus
