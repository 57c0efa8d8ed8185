// SPDX-License-Identifier: MIT
// Tests of the checksum's sum, against the definition of RFC 1071 word by word.
#include <cstdint>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "services/net/lwip/arch/cc.h"

namespace {

// Words in the byte order of memory, here the lower byte first; an odd last byte counts as lower.
uint16_t defined_sum(const uint8_t* bytes, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += uint64_t{bytes[i]} << (i % 2 * 8);
    while (sum >> 16 != 0) sum = (sum >> 16) + (sum & 0xffff);
    return static_cast<uint16_t>(sum);
}

TEST(checksum, is_the_sum_of_words_at_any_place_and_length) {
    std::mt19937 random(1);
    std::vector<uint8_t> bytes(2000);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    for (size_t begin = 0; begin < 9; begin++) {
        for (size_t count = 0; count < 600; count++) {
            EXPECT_EQ(annulus_lwip_sum(bytes.data() + begin, static_cast<int>(count)),
                      defined_sum(bytes.data() + begin, count));
        }
        EXPECT_EQ(annulus_lwip_sum(bytes.data() + begin, 1460),
                  defined_sum(bytes.data() + begin, 1460));
    }
}

TEST(checksum, carries_are_kept) {
    for (size_t count = 0; count < 1600; count++) {
        const std::vector<uint8_t> ones(count, 0xff);
        EXPECT_EQ(annulus_lwip_sum(ones.data(), static_cast<int>(count)),
                  defined_sum(ones.data(), count));
    }
}

}  // namespace
