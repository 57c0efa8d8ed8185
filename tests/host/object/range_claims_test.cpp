// SPDX-License-Identifier: MIT
// Handing out ranges: each number once, whatever the order.
#include "kernel/object/range_claims.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace annulus::kernel {
namespace {

TEST(RangeClaims, RefusesEveryKindOfOverlap) {
    RangeClaims<8> claims;
    ASSERT_TRUE(claims.claim(10, 20).ok());
    EXPECT_EQ(claims.claim(10, 20).error(), Error::busy);
    EXPECT_EQ(claims.claim(5, 11).error(), Error::busy);
    EXPECT_EQ(claims.claim(19, 30).error(), Error::busy);
    EXPECT_EQ(claims.claim(12, 13).error(), Error::busy);
    EXPECT_EQ(claims.claim(0, 100).error(), Error::busy);
    EXPECT_TRUE(claims.claim(5, 10).ok());
    EXPECT_TRUE(claims.claim(20, 21).ok());
}

TEST(RangeClaims, GivesBackExactlyWhatWasClaimed) {
    RangeClaims<8> claims;
    ASSERT_TRUE(claims.claim(10, 20).ok());
    EXPECT_FALSE(claims.give_back(10, 19));
    EXPECT_FALSE(claims.give_back(11, 20));
    EXPECT_FALSE(claims.give_back(0, 5));
    EXPECT_TRUE(claims.give_back(10, 20));
    EXPECT_FALSE(claims.give_back(10, 20));
    EXPECT_TRUE(claims.claim(15, 16).ok());
}

TEST(RangeClaims, TheLimitHolds) {
    RangeClaims<4> claims;
    for (uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(claims.claim(i * 2, i * 2 + 1).ok());
    EXPECT_EQ(claims.claim(100, 101).error(), Error::limit);
    EXPECT_EQ(claims.claim(0, 1).error(), Error::busy);
    ASSERT_TRUE(claims.give_back(2, 3));
    EXPECT_TRUE(claims.claim(100, 101).ok());
}

TEST(RangeClaims, AgreesWithABitmap) {
    constexpr uint64_t numbers = 64;
    RangeClaims<16> claims;
    std::vector<int> owner(numbers, -1);
    std::vector<std::pair<uint64_t, uint64_t>> held;
    std::mt19937 random(3);
    for (int step = 0; step < 100000; ++step) {
        if (random() % 2 == 0 && !held.empty()) {
            const size_t which = random() % held.size();
            ASSERT_TRUE(claims.give_back(held[which].first, held[which].second));
            for (uint64_t i = held[which].first; i < held[which].second; ++i) owner[i] = -1;
            held.erase(held.begin() + static_cast<long>(which));
            continue;
        }
        const uint64_t begin = random() % numbers;
        const uint64_t end = begin + 1 + random() % (numbers - begin);
        bool free = true;
        for (uint64_t i = begin; i < end; ++i) free = free && owner[i] < 0;
        const auto claimed = claims.claim(begin, end);
        const Error expected = !free ? Error::busy : held.size() == 16 ? Error::limit : Error::ok;
        ASSERT_EQ(claimed.error(), expected);
        if (!claimed.ok()) continue;
        held.emplace_back(begin, end);
        for (uint64_t i = begin; i < end; ++i) owner[i] = step;
    }
    EXPECT_EQ(claims.count(), held.size());
}

}  // namespace
}  // namespace annulus::kernel
