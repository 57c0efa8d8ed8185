// SPDX-License-Identifier: MIT
// Text formatting: every kind of argument and field, and full buffers.
#include "base/format.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>

namespace annulus {
namespace {

template <typename... Arguments>
std::string text(FormatPattern<std::type_identity_t<Arguments>...> pattern,
                 const Arguments&... arguments) {
    std::array<char, 128> buffer;
    return std::string(format(buffer, pattern, arguments...));
}

TEST(Format, PrintsNumbers) {
    EXPECT_EQ(text("{} {}", 0, 12345u), "0 12345");
    EXPECT_EQ(text("{} {}", -1, INT64_MIN), "-1 -9223372036854775808");
    EXPECT_EQ(text("{}", UINT64_MAX), "18446744073709551615");
    EXPECT_EQ(text("{x} {x}", 0, 0xdeadbeefu), "0x0 0xdeadbeef");
    EXPECT_EQ(text("{x16}", 0x1234), "0x0000000000001234");
    EXPECT_EQ(text("{x}", int8_t{-1}), "0xffffffffffffffff");
    EXPECT_EQ(text("{4}|{4}|{4}", 7, -7, 12345), "   7|  -7|12345");
}

TEST(Format, PrintsTextAndOthers) {
    EXPECT_EQ(text("{}, {}", "literal", std::string_view("view")), "literal, view");
    EXPECT_EQ(text("{6}|", "ab"), "    ab|");
    EXPECT_EQ(text("{} {}", true, false), "true false");
    enum class Colour : uint8_t { red = 3 };
    EXPECT_EQ(text("{}", Colour::red), "3");
    EXPECT_EQ(text("{x}", static_cast<const void*>(nullptr)), "0x0");
    EXPECT_EQ(text("{}", static_cast<const char*>(nullptr)), "(null)");
}

TEST(Format, PrintsBraces) {
    EXPECT_EQ(text("{{}} {}", 1), "{} 1");
    EXPECT_EQ(text("no fields"), "no fields");
    EXPECT_EQ(text(""), "");
}

TEST(Format, CutsOffWhatDoesNotFit) {
    std::array<char, 5> buffer;
    EXPECT_EQ(format(buffer, "{}", 1234567), "12345");
    EXPECT_EQ(format(std::span<char>{}, "{}", 1), "");
}

TEST(Format, CountsFieldsOfAPattern) {
    static_assert(format_detail::count_fields("{} {x} {x16} {8}") == 4);
    static_assert(format_detail::count_fields("{{ }}") == 0);
    static_assert(format_detail::count_fields("{") == -1);
    static_assert(format_detail::count_fields("}") == -1);
    static_assert(format_detail::count_fields("{y}") == -1);
    static_assert(format_detail::count_fields("{x1") == -1);
}

}  // namespace
}  // namespace annulus
