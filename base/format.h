// SPDX-License-Identifier: MIT
// Text formatting into a fixed buffer: typed, checked when compiled, without allocation.
//
//   format(buffer, "cpu {} at {x}", index, address)
//
// {} is decimal for integers and plain for text; {x} is hexadecimal with 0x; {x16} has at least 16
// digits; {8} is at least 8 wide, padded on the left. {{ and }} stand for braces.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <span>
#include <string_view>
#include <type_traits>

namespace annulus {

// One value to be printed.
class FormatArgument {
public:
    enum class Kind : uint8_t { natural, integer, text, boolean };

    template <typename T>
        requires std::is_integral_v<T> || std::is_enum_v<T>
    constexpr FormatArgument(T value) : number_(static_cast<uint64_t>(value)) {
        if constexpr (std::is_same_v<T, bool>) {
            kind_ = Kind::boolean;
        } else if constexpr (std::is_signed_v<T>) {
            kind_ = Kind::integer;
        }
    }
    constexpr FormatArgument(std::string_view value) : kind_(Kind::text), text_(value) {}
    constexpr FormatArgument(const char* value)
        : kind_(Kind::text), text_(value ? std::string_view(value) : "(null)") {}
    FormatArgument(const volatile void* value)
        : number_(reinterpret_cast<uint64_t>(value)) {}  // Safety: printed, never dereferenced.

    constexpr Kind kind() const { return kind_; }
    constexpr uint64_t number() const { return number_; }
    constexpr std::string_view text() const { return text_; }

private:
    Kind kind_ = Kind::natural;
    uint64_t number_ = 0;
    std::string_view text_;
};

// Appends to a buffer and drops what does not fit.
class TextBuffer {
public:
    constexpr explicit TextBuffer(std::span<char> storage) : storage_(storage) {}

    constexpr void append(char c) {
        if (size_ < storage_.size()) storage_[size_++] = c;
    }
    constexpr void append(std::string_view text) {
        for (const char c : text) append(c);
    }
    constexpr std::string_view text() const { return {storage_.data(), size_}; }
    constexpr bool full() const { return size_ == storage_.size(); }

private:
    std::span<char> storage_;
    size_t size_ = 0;
};

namespace format_detail {

struct Field {
    bool hexadecimal = false;
    unsigned width = 0;
};

// Reads a field after its opening brace and leaves `at` behind the closing one; false when
// malformed.
constexpr bool parse_field(std::string_view pattern, size_t& at, Field& field) {
    if (at < pattern.size() && pattern[at] == 'x') {
        field.hexadecimal = true;
        ++at;
    }
    while (at < pattern.size() && pattern[at] >= '0' && pattern[at] <= '9' && field.width < 100) {
        field.width = field.width * 10 + static_cast<unsigned>(pattern[at++] - '0');
    }
    return at < pattern.size() && pattern[at++] == '}';
}

// How many fields a pattern has, or -1 when it is malformed.
constexpr int count_fields(std::string_view pattern) {
    int count = 0;
    for (size_t at = 0; at < pattern.size();) {
        const char c = pattern[at++];
        if (c != '{' && c != '}') continue;
        if (at < pattern.size() && pattern[at] == c) {
            ++at;
            continue;
        }
        Field field;
        if (c == '}' || !parse_field(pattern, at, field)) return -1;
        ++count;
    }
    return count;
}

constexpr void append_number(TextBuffer& out, uint64_t number, bool negative, Field field) {
    char digits[24] = {};
    size_t count = 0;
    const unsigned base = field.hexadecimal ? 16 : 10;
    do {
        digits[count++] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number);
    const size_t used = count + (negative ? 1 : 0);
    if (field.hexadecimal) {
        out.append("0x");
        for (size_t i = used; i < field.width; ++i) out.append('0');
    } else {
        for (size_t i = used; i < field.width; ++i) out.append(' ');
    }
    if (negative) out.append('-');
    while (count) out.append(digits[--count]);
}

constexpr void append_argument(TextBuffer& out, const FormatArgument& argument, Field field) {
    std::string_view text = argument.text();
    switch (argument.kind()) {
        case FormatArgument::Kind::natural:
            return append_number(out, argument.number(), false, field);
        case FormatArgument::Kind::integer: {
            const bool negative = !field.hexadecimal && (argument.number() >> 63);
            const uint64_t magnitude = negative ? 0 - argument.number() : argument.number();
            return append_number(out, magnitude, negative, field);
        }
        case FormatArgument::Kind::boolean: text = argument.number() ? "true" : "false"; break;
        case FormatArgument::Kind::text: break;
    }
    for (size_t i = text.size(); i < field.width; ++i) out.append(' ');
    out.append(text);
}

// Reached only while a bad pattern is being compiled, which makes that an error.
void pattern_does_not_fit_arguments();

}  // namespace format_detail

// A string literal whose fields are as many as the arguments.
template <typename... Arguments>
struct FormatPattern {
    template <size_t size>
    consteval FormatPattern(const char (&literal)[size]) : text(literal, size - 1) {
        if (format_detail::count_fields(text) != static_cast<int>(sizeof...(Arguments))) {
            format_detail::pattern_does_not_fit_arguments();
        }
    }
    std::string_view text;
};

// The untyped core of format(): appends to `out`; fields without an argument print nothing.
constexpr void format_arguments(TextBuffer& out, std::string_view pattern,
                                std::span<const FormatArgument> arguments) {
    size_t next = 0;
    for (size_t at = 0; at < pattern.size();) {
        const char c = pattern[at++];
        if (c != '{' && c != '}') {
            out.append(c);
            continue;
        }
        if (at < pattern.size() && pattern[at] == c) {
            out.append(c);
            ++at;
            continue;
        }
        format_detail::Field field;
        if (!format_detail::parse_field(pattern, at, field)) return;
        if (next < arguments.size()) format_detail::append_argument(out, arguments[next++], field);
    }
}

template <typename... Arguments>
constexpr void format_to(TextBuffer& out, FormatPattern<std::type_identity_t<Arguments>...> pattern,
                         const Arguments&... arguments) {
    if constexpr (sizeof...(Arguments) == 0) {
        format_arguments(out, pattern.text, {});
    } else {
        const FormatArgument list[] = {FormatArgument(arguments)...};
        format_arguments(out, pattern.text, list);
    }
}

// Formats into `buffer` and returns what was written; longer text is cut off.
template <typename... Arguments>
constexpr std::string_view format(std::span<char> buffer,
                                  FormatPattern<std::type_identity_t<Arguments>...> pattern,
                                  const Arguments&... arguments) {
    TextBuffer out(buffer);
    format_to(out, pattern, arguments...);
    return out.text();
}

}  // namespace annulus
