// SPDX-License-Identifier: MIT
// Tests of the manifest's numbers: bases, units, and the largest values.
#include "services/init/manifest/number.h"

#include <gtest/gtest.h>

namespace annulus::init {
namespace {

void expect_number(std::string_view text, Unit unit, uint64_t value) {
    const auto number = parse_number(text, unit);
    ASSERT_TRUE(number.has_value()) << text;
    EXPECT_EQ(*number, value) << text;
}

void expect_none(std::string_view text, Unit unit) {
    EXPECT_FALSE(parse_number(text, unit).has_value()) << text;
}

TEST(manifest_number, plain) {
    expect_number("0", Unit::none, 0);
    expect_number("1200", Unit::none, 1200);
    expect_number("0x3f8", Unit::none, 0x3f8);
    expect_number("0x0F", Unit::none, 15);
    for (const auto text :
         {"", "0x", "x", "1x", "0xg", "01", "00", "1K", "1s", "1.5", "-1", "0X1"}) {
        expect_none(text, Unit::none);
    }
}

TEST(manifest_number, limits) {
    expect_number("18446744073709551615", Unit::none, ~uint64_t{0});
    expect_none("18446744073709551616", Unit::none);
    expect_number("0xffffffffffffffff", Unit::none, ~uint64_t{0});
    expect_none("0x10000000000000000", Unit::none);
    expect_number("17179869183G", Unit::bytes, uint64_t{17179869183} << 30);
    expect_none("17179869184G", Unit::bytes);
    expect_number("18446744073s", Unit::duration, 18446744073'000'000'000u);
    expect_none("18446744074s", Unit::duration);
}

TEST(manifest_number, sizes) {
    expect_number("5", Unit::bytes, 5);
    expect_number("128K", Unit::bytes, 128 << 10);
    expect_number("2M", Unit::bytes, 2 << 20);
    expect_number("0x10K", Unit::bytes, 16 << 10);
    for (const auto text : {"K", "1k", "1KB", "1 K", "1T"}) expect_none(text, Unit::bytes);
}

TEST(manifest_number, durations) {
    expect_number("7ns", Unit::duration, 7);
    expect_number("7us", Unit::duration, 7'000);
    expect_number("7ms", Unit::duration, 7'000'000);
    expect_number("7s", Unit::duration, 7'000'000'000);
    for (const auto text : {"7", "7m", "s", "7S", "7min"}) expect_none(text, Unit::duration);
}

}  // namespace
}  // namespace annulus::init
