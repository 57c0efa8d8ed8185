// SPDX-License-Identifier: MIT
// Cuts a line into words.
#include "programs/shell/text/words.h"

namespace annulus::shell {
namespace {

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
constexpr bool is_quote(char c) { return c == '\'' || c == '"'; }

}  // namespace

LineFault Words::read(std::string_view line) {
    count_ = 0;
    place_ = 0;
    if (line.size() > text_.size()) return LineFault::too_long;
    size_t used = 0;
    size_t at = 0;
    for (;;) {
        while (at < line.size() && is_blank(line[at])) ++at;
        if (at == line.size()) return LineFault::none;
        place_ = at;
        if (count_ == words_max) return LineFault::too_many_words;
        const size_t begin = used;
        while (at < line.size() && !is_blank(line[at])) {
            const char c = line[at++];
            if (!is_quote(c)) {
                text_[used++] = c;
                continue;
            }
            const size_t end = line.find(c, at);
            if (end == std::string_view::npos) {
                place_ = at - 1;
                return LineFault::open_quote;
            }
            while (at < end) text_[used++] = line[at++];
            ++at;
        }
        words_[count_++] = {text_.data() + begin, used - begin};
    }
}

std::optional<uint64_t> read_number(std::string_view text, uint64_t most) {
    if (text.empty()) return std::nullopt;
    uint64_t number = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        const auto digit = static_cast<uint64_t>(c - '0');
        if (digit > most || number > (most - digit) / 10) return std::nullopt;
        number = number * 10 + digit;
    }
    return number;
}

std::string_view describe(LineFault fault) {
    switch (fault) {
        case LineFault::none: return "it is sound";
        case LineFault::open_quote: return "a quote is not closed";
        case LineFault::too_many_words: return "there are more than 64 words";
        case LineFault::too_long: return "it is longer than 1024 bytes";
    }
    return "it is wrong";
}

}  // namespace annulus::shell
