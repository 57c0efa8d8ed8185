// SPDX-License-Identifier: MIT
// Writes lines of the log.

#include "runtime/log.h"

#include "abi/stream.h"
#include "runtime/program_state.h"

#include <string.h>

namespace annulus {

void log_line(std::string_view line) {
    const ObjectReference target = program_state.log;
    if (target.empty()) return;
    char buffer[log_line_max];
    const size_t size = line.size() < sizeof(buffer) ? line.size() : sizeof(buffer) - 1;
    memcpy(buffer, line.data(), size);
    buffer[size] = '\n';
    // A stream's write and the console's have the same verb and selector. What the server does not
    // take is lost: a log that could fail would need a log of its own.
    constexpr uint64_t operation = abi::operation_word(abi::Verb::write, abi::stream_write);
    const auto bytes = std::as_bytes(std::span(buffer, size + 1));
    static_cast<void>(system::call_buffer(target.value(), operation, system::buffer_in(bytes)));
}

}  // namespace annulus
