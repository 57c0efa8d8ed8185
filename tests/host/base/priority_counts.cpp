// SPDX-License-Identifier: MIT
// Tests of base/priority_counts.h.
#include "base/priority_counts.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace annulus {
namespace {

TEST(PriorityCounts, HighestIsTheSetsHighest) {
    PriorityCounts counts;
    std::multiset<uint8_t> set;
    std::mt19937 random(1);
    for (unsigned i = 0; i < 20'000; ++i) {
        // Few values, so that many members share one; the fill grows and shrinks.
        const bool grows = (i / 500) % 2 == 0;
        if (set.empty() || random() % 4 < (grows ? 3u : 1u)) {
            const auto priority = static_cast<uint8_t>(random() % 8 * 9);
            counts.add(priority);
            set.insert(priority);
        } else {
            const auto member = std::next(set.begin(), random() % set.size());
            counts.remove(*member);
            set.erase(member);
        }
        EXPECT_EQ(counts.highest(), set.empty() ? 0 : *set.rbegin());
    }
}

}  // namespace
}  // namespace annulus
