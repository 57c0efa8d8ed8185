// SPDX-License-Identifier: MIT
// Cycles to nanoseconds, wide division, dates.
#include "kernel/arch/x86_64/cpu/clock_math.h"

#include <gtest/gtest.h>

#include <random>

namespace annulus::arch {
namespace {

TEST(ClockMath, OneSecondIsOneSecond) {
    for (const uint64_t hz : {1'000'000ul, 999'999'937ul, 1'000'000'000ul, 2'499'985'377ul,
                              5'000'000'000ul, 1'000'000'000'000ul}) {
        const abi::ClockPage clock = make_clock(hz, 1000);
        EXPECT_EQ(cycles_to_ns(clock, 1000), 0u);
        // Rounded down, by less than a nanosecond in a day.
        const uint64_t day = cycles_to_ns(clock, 1000 + hz * 86400);
        EXPECT_GE(day, 86'400'000'000'000 - 1) << hz;
        EXPECT_LE(day, 86'400'000'000'000) << hz;
    }
}

TEST(ClockMath, RunsForCenturies) {
    const abi::ClockPage clock = make_clock(3'000'000'000, 0);
    EXPECT_NEAR(static_cast<double>(cycles_to_ns(clock, ~uint64_t{0})), 18446744073709551615.0 / 3,
                10.0);
}

TEST(ClockMath, NeverGoesBack) {
    const abi::ClockPage clock = make_clock(2'345'678'901, 7);
    std::mt19937_64 random(1);
    for (int i = 0; i < 10000; ++i) {
        const uint64_t at = 7 + (random() >> 1);
        EXPECT_LE(cycles_to_ns(clock, at), cycles_to_ns(clock, at + 1));
    }
}

TEST(ClockMath, DividesWideNumbers) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 10000; ++i) {
        const uint64_t divisor = (random() >> (1 + random() % 60)) + 1;
        const uint64_t quotient = random() >> random() % 64;
        const auto value = static_cast<unsigned __int128>(quotient) * divisor + random() % divisor;
        EXPECT_EQ(divide_wide(value, divisor), quotient);
    }
    EXPECT_EQ(divide_wide(static_cast<unsigned __int128>(1) << 64, 1), ~uint64_t{0});
    EXPECT_EQ(divide_wide(static_cast<unsigned __int128>(1) << 127, 3), ~uint64_t{0});
}

TEST(ClockMath, CountsDays) {
    static_assert(days_since_1970(1970, 1, 1) == 0);
    static_assert(days_since_1970(1970, 3, 1) == 59);
    static_assert(days_since_1970(2000, 2, 29) == 11016);
    static_assert(days_since_1970(2020, 1, 1) == 18262);
    static_assert(days_since_1970(2100, 3, 1) == 47541);
}

}  // namespace
}  // namespace annulus::arch
