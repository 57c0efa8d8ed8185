// SPDX-License-Identifier: MIT
// Tests of base/bitmap.h.
#include "base/bitmap.h"

#include <gtest/gtest.h>

namespace annulus {
namespace {

TEST(PriorityBitmap, FindsTheEnds) {
    PriorityBitmap set;
    EXPECT_TRUE(set.empty());
    for (uint32_t low = 0; low < 64; ++low) {
        for (uint32_t high = low; high < 64; ++high) {
            set.set(low);
            set.set(high);
            EXPECT_EQ(set.lowest(), low);
            EXPECT_EQ(set.highest(), high);
            EXPECT_EQ(set.count(), low == high ? 1u : 2u);
            EXPECT_TRUE(set.test(low));
            set.clear(low);
            set.clear(high);
            EXPECT_TRUE(set.empty());
        }
    }
}

TEST(PriorityBitmap, FindsFromAnIndex) {
    PriorityBitmap set;
    EXPECT_EQ(set.lowest_from(0), PriorityBitmap::size);
    set.set(5);
    set.set(63);
    EXPECT_EQ(set.lowest_from(0), 5u);
    EXPECT_EQ(set.lowest_from(5), 5u);
    EXPECT_EQ(set.lowest_from(6), 63u);
    EXPECT_EQ(set.lowest_from(63), 63u);
    set.clear(63);
    EXPECT_EQ(set.lowest_from(6), PriorityBitmap::size);
}

}  // namespace
}  // namespace annulus
