// SPDX-License-Identifier: MIT
// Cuts a line into words. Policy-free.
//
// Words stand between blanks. Between two ' or two " everything stands for itself, the other kind
// of quote, too; parts that touch are one word: a'b c'd. There are no escapes.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <optional>
#include <span>
#include <string_view>

namespace annulus::shell {

inline constexpr size_t line_max = 1024;  // bytes of a line
inline constexpr size_t words_max = 64;

enum class LineFault : uint8_t { none, open_quote, too_many_words, too_long };

class Words {
public:
    // Reads `line`; the words are copies and stay until the next read. open_quote: `place` is the
    // quote's; otherwise the words up to the fault are there.
    LineFault read(std::string_view line);

    std::span<const std::string_view> all() const { return std::span(words_).first(count_); }
    size_t place() const { return place_; }

private:
    std::array<char, line_max> text_{};
    std::array<std::string_view, words_max> words_{};
    size_t count_ = 0;
    size_t place_ = 0;
};

// A decimal number. Nothing: it is empty, has something else in it, or is above `most`.
std::optional<uint64_t> read_number(std::string_view text, uint64_t most);

// In words such as "a quote is not closed".
std::string_view describe(LineFault fault);

}  // namespace annulus::shell
