// SPDX-License-Identifier: MIT
// Fuzz target of the shell's text: any bytes give lines of sound length, words within them, and
// requests that refer to those words.
#include "programs/shell/text/line_editor.h"
#include "programs/shell/text/run_request.h"

#include <cstdlib>
#include <cstring>

namespace {

using namespace annulus;
using namespace annulus::shell;

void require(bool condition) {
    if (!condition) abort();
}

void check_request(const Words& words) {
    RunRequest request;
    std::string_view word;
    const RunFault fault = read_run(words.all(), request, word);
    require(!describe(fault).empty());
    require(request.object_count <= words.all().size());
    if (fault != RunFault::none) return;
    for (const RequestedObject& object : request.all_objects()) {
        require(!object.name.empty() && !object.object.empty());
        require((object.rights & ~abi::all_rights) == 0 && object.rights != 0);
    }
    require(request.arguments.size() + request.object_count < words.all().size());
}

void check_line(std::string_view line) {
    require(line.size() <= line_max);
    for (const char c : line) require(static_cast<unsigned char>(c) >= ' ' && c != 0x7f);
    Words words;
    const LineFault fault = words.read(line);
    require(!describe(fault).empty() && words.place() <= line.size());
    size_t total = 0;
    for (const auto word : words.all()) total += word.size();
    require(words.all().size() <= words_max && total <= line.size());
    check_request(words);
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static LineEditor editor;
    editor = {};
    char buffer[LineEditor::echo_max];
    for (size_t i = 0; i < size; i++) {
        TextBuffer echo(buffer);
        const char byte = static_cast<char>(data[i]);
        const Typed typed = editor.take(byte, echo);
        require(!echo.full());
        if (typed == Typed::line) check_line(editor.text());
    }
    // Words that an editor never gives.
    Words words;
    const std::string_view raw(reinterpret_cast<const char*>(data), size);
    if (words.read(raw) != LineFault::too_long) check_request(words);
    return 0;
}
