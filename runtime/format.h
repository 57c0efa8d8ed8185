// SPDX-License-Identifier: MIT
// Typed text formatting into fixed memory: format("{} of {}", a, b).
//
// Placeholders: {} as it is, {:x} hexadecimal, {:8} right-aligned in 8 columns, {:08x} filled with
// zeros. Number and form are checked when the call is compiled. "{{" and "}}" are braces. Text that
// does not fit is cut, and `truncated` says so. A type of one's own is formatted by a function
// `void format_value(TextBuffer&, const T&)` in its namespace.
#pragma once

#include "abi/status.h"

#include <stddef.h>
#include <stdint.h>

#include <concepts>
#include <span>
#include <string_view>
#include <type_traits>

namespace annulus {

// Text that grows to the end of memory that somebody else owns.
class TextBuffer {
public:
    constexpr explicit TextBuffer(std::span<char> memory) : memory_(memory) {}

    constexpr std::string_view view() const { return {memory_.data(), size_}; }
    constexpr bool truncated() const { return truncated_; }
    constexpr void clear() {
        size_ = 0;
        truncated_ = false;
    }

    void append(std::string_view text);
    void append(char character) { append(std::string_view(&character, 1)); }

    // Ends the text with `ending`, over its last characters where there is no room.
    void finish(std::string_view ending);

private:
    std::span<char> memory_;
    size_t size_ = 0;
    bool truncated_ = false;
};

// A text buffer with its memory.
template <size_t Capacity>
class Text : public TextBuffer {
public:
    Text() : TextBuffer(std::span<char>(characters_, Capacity)) {}
    Text(const Text&) = delete;
    Text& operator=(const Text&) = delete;

private:
    char characters_[Capacity];
};

void format_value(TextBuffer& out, abi::Error error);    // its name
void format_value(TextBuffer& out, abi::Status status);  // name (detail, extra)

namespace format_detail {

enum class Kind : uint8_t { number, negative, character, text, boolean, pointer, custom };

// One argument with its type erased. Refers to the original, which outlives the call.
struct Argument {
    Kind kind = Kind::number;
    uint64_t number = 0;  // magnitude, character, truth or address
    std::string_view text = {};
    const void* object = nullptr;
    void (*function)(TextBuffer&, const void*) = nullptr;
};

template <typename T>
concept Formattable = requires(TextBuffer& out, const T& value) { format_value(out, value); };

template <typename T>
Argument erase(const T& value) {
    if constexpr (std::same_as<T, bool>) {
        return {.kind = Kind::boolean, .number = value};
    } else if constexpr (std::same_as<T, char>) {
        return {.kind = Kind::character, .number = static_cast<unsigned char>(value)};
    } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
        return {.kind = Kind::text, .text = value};
    } else if constexpr (std::signed_integral<T>) {
        const auto bits = static_cast<uint64_t>(static_cast<int64_t>(value));
        return value < 0 ? Argument{.kind = Kind::negative, .number = uint64_t{0} - bits}
                         : Argument{.kind = Kind::number, .number = bits};
    } else if constexpr (std::unsigned_integral<T>) {
        return {.kind = Kind::number, .number = value};
    } else if constexpr (std::is_pointer_v<T>) {
        // Safety: only the address is shown.
        return {.kind = Kind::pointer, .number = reinterpret_cast<uint64_t>(value)};
    } else if constexpr (Formattable<T>) {
        return {.kind = Kind::custom, .object = &value, .function = [](TextBuffer& out,
                                                                       const void* object) {
                    format_value(out, *static_cast<const T*>(object));
                }};
    } else {
        static_assert(std::is_enum_v<T>, "this type needs a format_value function");
        return erase(static_cast<uint64_t>(value));
    }
}

struct Placeholder {
    unsigned width = 0;
    bool zeros = false;
    bool hexadecimal = false;
};

// Parses what follows '{' up to and with '}'. Answers the number of characters, 0 if malformed.
constexpr size_t parse(std::string_view text, Placeholder& placeholder) {
    size_t at = 0;
    if (at < text.size() && text[at] == ':') {
        ++at;
        if (at < text.size() && text[at] == '0') {
            placeholder.zeros = true;
            ++at;
        }
        for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
            placeholder.width = placeholder.width * 10 + static_cast<unsigned>(text[at] - '0');
            if (placeholder.width > 64) return 0;
        }
        if (at < text.size() && text[at] == 'x') {
            placeholder.hexadecimal = true;
            ++at;
        }
    }
    return at < text.size() && text[at] == '}' ? at + 1 : 0;
}

// Number of placeholders, or -1 for malformed text.
constexpr int count_placeholders(std::string_view text) {
    int count = 0;
    for (size_t at = 0; at < text.size(); ++at) {
        const bool doubled = at + 1 < text.size() && text[at + 1] == text[at];
        if (text[at] == '{' && !doubled) {
            Placeholder ignored;
            const size_t length = parse(text.substr(at + 1), ignored);
            if (length == 0) return -1;
            at += length;
            ++count;
        } else if (text[at] == '{' || text[at] == '}') {
            if (!doubled) return -1;
            ++at;
        }
    }
    return count;
}

void format_erased(TextBuffer& out, std::string_view text, std::span<const Argument> arguments);

// Not constexpr: reaching it stops the compilation.
inline void placeholders_do_not_match_arguments() {}

}  // namespace format_detail

// A literal whose placeholders were checked against the arguments.
template <typename... Arguments>
struct FormatText {
    std::string_view text;
    template <typename Literal>
        requires std::is_convertible_v<const Literal&, std::string_view>
    consteval FormatText(const Literal& literal) : text(literal) {
        if (format_detail::count_placeholders(text) != static_cast<int>(sizeof...(Arguments))) {
            format_detail::placeholders_do_not_match_arguments();
        }
    }
};

// Appends the formatted text to `out`.
template <typename... Arguments>
void format(TextBuffer& out, FormatText<std::type_identity_t<Arguments>...> text,
            const Arguments&... arguments) {
    const format_detail::Argument erased[sizeof...(Arguments) + 1] = {
        format_detail::erase(arguments)..., {}};
    format_detail::format_erased(out, text.text, std::span(erased, sizeof...(Arguments)));
}

}  // namespace annulus
