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

// The sum with `words` words more. What is carried out at the top comes in at the bottom, twice if
// all bits were set. A carry between two calls would cost more than that.
template <unsigned words>
[[gnu::always_inline]] inline uint64_t add_words(uint64_t sum, const unsigned char*& from) {
    unsigned long long carry = 0;
#pragma GCC unroll 32
    for (unsigned i = 0; i < words; ++i, from += sizeof(uint64_t)) {
        sum = add(sum, word_at<uint64_t>(from), carry);
    }
    sum = add(sum, 0, carry);
    return sum + carry;
}

}  // namespace

// The sum does not depend on where a run of words begins, and folds from 64 bits to 16: a sum of
// wider words is a sum of narrower ones with the carries in other places (RFC 1071, 2).
extern "C" unsigned short annulus_lwip_sum(const void* bytes, int count) {
    const auto* from = static_cast<const unsigned char*>(bytes);
    auto left = static_cast<unsigned>(count);
    uint64_t sum = 0;
    for (; left >= 256; left -= 256) sum = add_words<32>(sum, from);
    for (; left >= 64; left -= 64) sum = add_words<8>(sum, from);
    if ((left & 32) != 0) sum = add_words<4>(sum, from);
    if ((left & 16) != 0) sum = add_words<2>(sum, from);
    if ((left & 8) != 0) sum = add_words<1>(sum, from);
    sum = (sum >> 32) + (sum & 0xffffffff);  // room for a few more
    if ((left & 4) != 0) {
        sum += word_at<uint32_t>(from);
        from += sizeof(uint32_t);
    }
    if ((left & 2) != 0) {
        sum += word_at<uint16_t>(from);
        from += sizeof(uint16_t);
    }
    if ((left & 1) != 0) sum += *from;
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return static_cast<unsigned short>((sum >> 16) + (sum & 0xffff));
}
