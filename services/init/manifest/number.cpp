// SPDX-License-Identifier: MIT
// Numbers of the manifest.
#include "services/init/manifest/number.h"

#include <stddef.h>

namespace annulus::init {
namespace {

struct Suffix {
    std::string_view text;
    uint64_t factor;
};

constexpr Suffix byte_suffixes[] = {{"", 1}, {"K", 1u << 10}, {"M", 1u << 20}, {"G", 1u << 30}};
constexpr Suffix duration_suffixes[] = {
    {"ns", 1}, {"us", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000}};

// The digit's value, or 16 for what is no digit in any base.
unsigned digit_of(char c) {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
    return 16;
}

std::optional<uint64_t> scale(uint64_t value, std::string_view suffix, const Suffix* table,
                              size_t size) {
    for (size_t index = 0; index < size; index++) {
        if (table[index].text != suffix) continue;
        uint64_t scaled = 0;
        if (__builtin_mul_overflow(value, table[index].factor, &scaled)) return std::nullopt;
        return scaled;
    }
    return std::nullopt;
}

}  // namespace

std::optional<uint64_t> parse_number(std::string_view text, Unit unit) {
    const unsigned base = text.starts_with("0x") ? 16 : 10;
    if (base == 16) text.remove_prefix(2);
    size_t digits = 0;
    uint64_t value = 0;
    while (digits < text.size() && digit_of(text[digits]) < base) {
        if (__builtin_mul_overflow(value, uint64_t{base}, &value) ||
            __builtin_add_overflow(value, uint64_t{digit_of(text[digits])}, &value)) {
            return std::nullopt;
        }
        digits++;
    }
    if (digits == 0) return std::nullopt;
    if (base == 10 && digits > 1 && text.front() == '0') return std::nullopt;

    const std::string_view suffix = text.substr(digits);
    switch (unit) {
        case Unit::none: return suffix.empty() ? std::optional(value) : std::nullopt;
        case Unit::bytes: return scale(value, suffix, byte_suffixes, 4);
        case Unit::duration: return scale(value, suffix, duration_suffixes, 4);
    }
    return std::nullopt;
}

}  // namespace annulus::init
