// SPDX-License-Identifier: MIT
// Fuzz target of the manifest: every text gives a sound description or a placed, printable error.
#include "services/init/manifest.h"
#include "services/init/supervisor_policy.h"

#include <cstdlib>
#include <vector>

namespace {

using namespace annulus::init;

Manifest manifest;

void require(bool condition) {
    if (!condition) abort();
}

void require_printable(std::string_view text) {
    for (const char c : text) require(c >= 0x20 && c < 0x7f);
}

// An error points at a place of the text and its message can go to any console.
void check_error(std::string_view text, const ManifestError& error) {
    require(error.fault != ManifestFault::none && !error.message().empty());
    require_printable(error.message());
    char buffer[512];
    require_printable(format_error(buffer, "manifest", error));
    require(error.place.line != 0 && error.place.column != 0);
    require(!format_caret(buffer, text, error.place).empty());
}

bool refers_into(std::string_view text, std::string_view part) {
    return part.data() >= text.data() && part.data() + part.size() <= text.data() + text.size();
}

void check_program(std::string_view text, const Program& program) {
    require(refers_into(text, program.name) && refers_into(text, program.file));
    require(!program.name.empty() && !program.file.empty());
    for (const auto argument : manifest.arguments_of(program)) require(refers_into(text, argument));
    for (const Give& give : manifest.gives_of(program)) {
        require(refers_into(text, give.name) && refers_into(text, give.source_name));
        require(give.rights != 0 && (give.rights & ~annulus::abi::all_rights) == 0);
        if (give.kind == SourceKind::provided) {
            require(manifest.provides[give.index].name == give.source_name);
        }
        if (give.kind == SourceKind::child_budget)
            require(give.index < manifest.child_budget_count);
    }
    RestartHistory history;
    for (uint64_t now = 0; now < 40; now++) {
        const auto action = decide_end(program, annulus::abi::EndReason::faulted, history, now);
        require(action <= ExitAction::shut_down);
    }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
    // An own heap block of the exact size, so that the sanitizer sees any access outside.
    const std::vector<char> copy(data, data + size);
    const std::string_view text(copy.data(), copy.size());
    ManifestError error;
    if (!parse_manifest(text, manifest, error)) {
        check_error(text, error);
        return 0;
    }
    require(error.fault == ManifestFault::none);
    for (const Program& program : manifest.all_programs()) check_program(text, program);
    require(start_order(manifest).programs().size() == manifest.program_count);
    return 0;
}
