// SPDX-License-Identifier: MIT
// The manifest's entry point and its error messages.
#include "services/init/manifest.h"

#include "base/format.h"
#include "services/init/manifest/check.h"
#include "services/init/manifest/parser.h"

namespace annulus::init {
namespace {

bool is_control(char character) {
    const auto code = static_cast<unsigned char>(character);
    return code < 0x20 || code == 0x7f;
}

// Line `number`, counted from 1, without its line feed. False if there is none.
bool find_line(std::string_view text, uint32_t number, std::string_view& line) {
    for (uint32_t at = 1; at < number; at++) {
        const size_t end = text.find('\n');
        if (end == std::string_view::npos) return false;
        text.remove_prefix(end + 1);
    }
    line = text.substr(0, text.find('\n'));
    return number != 0;
}

}  // namespace

void ManifestError::set_message(std::string_view message) {
    TextBuffer buffer(text_);
    buffer.append(message);
    length_ = buffer.text().size();
}

bool parse_manifest(std::string_view text, Manifest& manifest, ManifestError& error) {
    manifest.clear();
    error = {};
    Parser parser(text, manifest, error);
    return parser.run() && check_manifest(manifest, error);
}

std::string_view format_error(std::span<char> buffer, std::string_view file,
                              const ManifestError& error) {
    return format(buffer, "{}:{}:{}: {}", file, error.place.line, error.place.column,
                  error.message());
}

std::string_view format_caret(std::span<char> buffer, std::string_view text, Place place) {
    std::string_view line;
    if (!find_line(text, place.line, line)) return {};
    // Half of the buffer for the line, half for the caret's.
    const size_t room = buffer.size() / 2;
    if (line.size() + 1 > room) line = line.substr(0, room == 0 ? 0 : room - 1);
    TextBuffer out(buffer);
    for (const char character : line) {
        out.append(is_control(character) && character != '\t' ? '?' : character);
    }
    out.append('\n');
    const size_t column = place.column == 0 ? 0 : place.column - 1;
    if (column > line.size()) return out.text();  // cut off before the caret
    // Tabs stay tabs, so that the caret stands below its column whatever their width.
    for (const char character : line.substr(0, column)) {
        out.append(character == '\t' ? '\t' : ' ');
    }
    out.append('^');
    return out.text();
}

}  // namespace annulus::init
