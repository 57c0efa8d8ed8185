// SPDX-License-Identifier: MIT
// Tests of base/align.h: results at the edges of 64 bits.
#include "base/align.h"

#include <gtest/gtest.h>

namespace annulus {
namespace {

constexpr uint64_t top = ~uint64_t{0};

TEST(Align, PowersOfTwo) {
    EXPECT_FALSE(is_power_of_two(0));
    EXPECT_TRUE(is_power_of_two(1));
    EXPECT_FALSE(is_power_of_two(3));
    EXPECT_TRUE(is_power_of_two(uint64_t{1} << 63));
    EXPECT_EQ(floor_log2(1), 0u);
    EXPECT_EQ(floor_log2(top), 63u);
    EXPECT_EQ(ceil_log2(0), 0u);
    EXPECT_EQ(ceil_log2(1), 0u);
    EXPECT_EQ(ceil_log2(3), 2u);
    EXPECT_EQ(ceil_log2(4), 2u);
    EXPECT_EQ(ceil_log2(uint64_t{1} << 63), 63u);
    EXPECT_EQ(ceil_log2(top), 64u);
}

TEST(Align, UpAndDown) {
    EXPECT_EQ(align_down(0x1fff, 0x1000), 0x1000u);
    EXPECT_EQ(align_up(0x1001, 0x1000), 0x2000u);
    EXPECT_EQ(align_up(0x1000, 0x1000), 0x1000u);
    EXPECT_TRUE(is_aligned(0, 4096));
    EXPECT_FALSE(is_aligned(2048, 4096));
    EXPECT_EQ(checked_align_up(top - 4095, 4096), top - 4095);
    EXPECT_EQ(checked_align_up(top - 4094, 4096), std::nullopt);
}

TEST(Align, SumsNoticeOverflow) {
    EXPECT_EQ(checked_add(top, 0), top);
    EXPECT_EQ(checked_add(top, 1), std::nullopt);
    EXPECT_EQ(checked_multiply(uint64_t{1} << 32, uint64_t{1} << 31), uint64_t{1} << 63);
    EXPECT_EQ(checked_multiply(uint64_t{1} << 32, uint64_t{1} << 32), std::nullopt);
    EXPECT_EQ(divide_round_up(top, 2), uint64_t{1} << 63);
    EXPECT_EQ(divide_round_up(0, 7), 0u);
}

TEST(Align, RangesFit) {
    EXPECT_TRUE(range_fits(0, 10, 10));
    EXPECT_TRUE(range_fits(10, 0, 10));
    EXPECT_FALSE(range_fits(10, 1, 10));
    EXPECT_FALSE(range_fits(11, 0, 10));
    EXPECT_FALSE(range_fits(5, top, 10));
    EXPECT_FALSE(range_fits(top, 2, 10));
}

}  // namespace
}  // namespace annulus
