// SPDX-License-Identifier: MIT
// The Internet checksum's sum (RFC 1071), eight bytes at a time; lwIP's own takes two.
#include <stdint.h>

#include "services/net/lwip/arch/cc.h"

namespace {

template <typename Word>
Word word_at(const unsigned char* from) {
    Word word;
    __builtin_memcpy(&word, from, sizeof(word));
    return word;
}

// Adds `word` and the carry of the addition before: whole chains become one instruction a word.
uint64_t add(uint64_t sum, uint64_t word, unsigned long long& carry) {
    return __builtin_addcll(sum, word, carry, &carry);
}

}  // namespace

// The sum does not depend on where a run of words begins, and folds from 64 bits to 16: a sum of
// wider words is a sum of narrower ones with the carries in other places (RFC 1071, 2).
extern "C" unsigned short annulus_lwip_sum(const void* bytes, int count) {
    const auto* from = static_cast<const unsigned char*>(bytes);
    auto left = static_cast<unsigned>(count);
    uint64_t sum = 0;
    unsigned long long carry = 0;
    constexpr unsigned step = 8 * sizeof(uint64_t);
    for (; left >= step; left -= step, from += step) {
#pragma GCC unroll 8
        for (unsigned i = 0; i < step; i += sizeof(uint64_t)) {
            sum = add(sum, word_at<uint64_t>(from + i), carry);
        }
    }
    for (; left >= sizeof(uint64_t); left -= sizeof(uint64_t), from += sizeof(uint64_t)) {
        sum = add(sum, word_at<uint64_t>(from), carry);
    }
    for (; left >= 2; left -= 2, from += 2) sum = add(sum, word_at<uint16_t>(from), carry);
    if (left != 0) sum = add(sum, *from, carry);
    // Ones' complement: what is carried out at the top comes in at the bottom, twice if all were
    // set.
    sum = add(sum, 0, carry);
    sum += carry;
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return static_cast<unsigned short>((sum >> 16) + (sum & 0xffff));
}
