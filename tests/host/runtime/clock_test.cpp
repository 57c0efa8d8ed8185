// SPDX-License-Identifier: MIT
// Clock arithmetic and deadlines.

#include "runtime/clock.h"

#include <gtest/gtest.h>

namespace annulus {
namespace {

// 2.5 GHz: 0.4 ns a cycle, as a 32-bit fraction.
constexpr abi::ClockPage page = {1'000, 500, uint64_t{2} * (uint64_t{1} << 32) / 5, 32, 1};

TEST(Clock, CountsFromThePagesBase) {
    EXPECT_EQ(clock_time(page, 1'000), 500u);
    EXPECT_EQ(clock_time(page, 1'000 + 2'500'000), 500u + 999'999u);  // rounded down
}

TEST(Clock, AnEarlierReadingGivesTheBase) { EXPECT_EQ(clock_time(page, 10), 500u); }

TEST(Clock, DoesNotOverflowInYears) {
    const uint64_t century = uint64_t{100} * 365 * 86'400;  // seconds
    const uint64_t cycles = century * 2'500'000'000;
    const uint64_t time = clock_time(page, 1'000 + cycles);
    EXPECT_NEAR(static_cast<double>(time), static_cast<double>(century) * 1e9, 1e10);
}

TEST(Deadline, LaterStopsBeforeNever) {
    EXPECT_EQ(later(5, seconds(1)).at, 1'000'000'005u);
    EXPECT_EQ(later(5, {abi::deadline_never}), Deadline::never());
    EXPECT_EQ(later(abi::deadline_never - 1, nanoseconds(1)), Deadline::never());
    EXPECT_LT(later(0, milliseconds(1)), later(0, microseconds(1001)));
}

}  // namespace
}  // namespace annulus
