// SPDX-License-Identifier: MIT
// Formatting with erased argument types.

#include "runtime/format.h"

#include "abi/errors.h"

#include <string.h>

namespace annulus {

void TextBuffer::append(std::string_view text) {
    const size_t room = memory_.size() - size_;
    const size_t taken = text.size() < room ? text.size() : room;
    if (taken < text.size()) truncated_ = true;
    if (taken != 0) memcpy(memory_.data() + size_, text.data(), taken);
    size_ += taken;
}

void TextBuffer::finish(std::string_view ending) {
    if (ending.size() > memory_.size()) return;
    if (memory_.size() - size_ < ending.size()) {
        truncated_ = true;
        size_ = memory_.size() - ending.size();
    }
    append(ending);
}

void format_value(TextBuffer& out, abi::Error error) { out.append(abi::name_of(error)); }

void format_value(TextBuffer& out, abi::Status status) {
    format_value(out, status.code());
    if (status.detail() != 0 || status.extra() != 0) {
        format(out, " ({}, {})", status.detail(), status.extra());
    }
}

namespace format_detail {

namespace {

// Appends `text` right-aligned; zeros come after a minus sign.
void append_padded(TextBuffer& out, std::string_view text, const Placeholder& placeholder) {
    size_t padding = text.size() < placeholder.width ? placeholder.width - text.size() : 0;
    if (placeholder.zeros && text.starts_with('-')) {
        out.append('-');
        text.remove_prefix(1);
    }
    for (; padding != 0; --padding) out.append(placeholder.zeros ? '0' : ' ');
    out.append(text);
}

void append_number(TextBuffer& out, uint64_t magnitude, bool negative,
                   const Placeholder& placeholder) {
    char digits[21];  // a sign and the 20 digits of 2^64 - 1
    size_t at = sizeof(digits);
    const unsigned base = placeholder.hexadecimal ? 16 : 10;
    do {
        digits[--at] = "0123456789abcdef"[magnitude % base];
        magnitude /= base;
    } while (magnitude != 0);
    if (negative) digits[--at] = '-';
    append_padded(out, {digits + at, sizeof(digits) - at}, placeholder);
}

void append_argument(TextBuffer& out, const Argument& argument, Placeholder placeholder) {
    const auto character = static_cast<char>(argument.number);
    switch (argument.kind) {
    case Kind::number:
    case Kind::negative:
        append_number(out, argument.number, argument.kind == Kind::negative, placeholder);
        break;
    case Kind::character:
        append_padded(out, {&character, 1}, placeholder);
        break;
    case Kind::text:
        append_padded(out, argument.text, placeholder);
        break;
    case Kind::boolean:
        append_padded(out, argument.number != 0 ? "true" : "false", placeholder);
        break;
    case Kind::pointer:
        placeholder.hexadecimal = true;
        out.append("0x");
        append_number(out, argument.number, false, placeholder);
        break;
    case Kind::custom:
        argument.function(out, argument.object);
        break;
    }
}

}  // namespace

void format_erased(TextBuffer& out, std::string_view text, std::span<const Argument> arguments) {
    size_t next = 0;
    size_t at = 0;
    while (at < text.size()) {
        size_t plain = at;
        while (plain < text.size() && text[plain] != '{' && text[plain] != '}') ++plain;
        out.append(text.substr(at, plain - at));
        if (plain == text.size()) return;
        if (plain + 1 < text.size() && text[plain + 1] == text[plain]) {
            out.append(text[plain]);
            at = plain + 2;
            continue;
        }
        Placeholder placeholder;
        // The compiler checked form and number; a mismatch cannot arrive here.
        at = plain + 1 + parse(text.substr(plain + 1), placeholder);
        if (next < arguments.size()) append_argument(out, arguments[next++], placeholder);
    }
}

}  // namespace format_detail

}  // namespace annulus
