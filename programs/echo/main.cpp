// SPDX-License-Identifier: MIT
// Says back what it reads, line by line; ends at the line "end".

#include "base/format.h"
#include "runtime/program.h"

namespace annulus {
namespace {

constexpr size_t line_max = 256;

// A line without its end; longer ones come in parts.
Result<std::string_view> read_line(Stream input, std::span<char> buffer) {
    size_t size = 0;
    while (size < buffer.size()) {
        const auto byte = std::as_writable_bytes(buffer.subspan(size, 1));
        if (TRY(input.read(byte)) == 0) return Error::closed;
        if (buffer[size] == '\n' || buffer[size] == '\r') break;
        size++;
    }
    return std::string_view(buffer.data(), size);
}

}  // namespace
}  // namespace annulus

annulus::Result<void> annulus::program_main(Environment& environment) {
    const auto input = TRY(environment.handle<Stream>(names::input));
    const auto output = TRY(environment.handle<Stream>(names::output));
    TRY(output.write("echo: ready\n"));
    for (;;) {
        char buffer[line_max];
        const std::string_view line = TRY(read_line(input, buffer));
        // In one write, which no other program's bytes come between.
        char answer[line_max + 8];
        TRY(output.write(format(answer, "echo: {}\n", line)));
        if (line == "end") return {};
    }
}
