// SPDX-License-Identifier: MIT
// The account of a CPU's idle time.
#include "kernel/schedule/idle_clock.h"

#include <gtest/gtest.h>

using annulus::kernel::IdleClock;

namespace {

TEST(IdleClock, counts_what_lies_between_begin_and_end) {
    IdleClock clock;
    EXPECT_EQ(clock.total(70), 0u);
    clock.begin(100);
    clock.end(130);
    EXPECT_EQ(clock.total(500), 30u);
    clock.begin(1'000);
    clock.end(1'000);
    clock.begin(2'000);
    clock.end(2'005);
    EXPECT_EQ(clock.total(9'000), 35u);
}

TEST(IdleClock, counts_a_sleep_that_goes_on) {
    IdleClock clock;
    clock.begin(10);
    EXPECT_EQ(clock.total(10), 0u);
    EXPECT_EQ(clock.total(25), 15u);
    clock.end(30);
    clock.begin(1'000'000);
    EXPECT_EQ(clock.total(1'000'007), 27u);
    clock.end(1'000'100);
    EXPECT_EQ(clock.total(1'000'100), 120u);
}

}  // namespace
