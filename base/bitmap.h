// SPDX-License-Identifier: MIT
// PriorityBitmap: a set of the numbers 0..63 that finds its highest and lowest member in O(1).
#pragma once

#include <stdint.h>

#include <bit>

namespace annulus {

// Not synchronised. Indices are below 64; the caller checks.
class PriorityBitmap {
public:
    static constexpr uint32_t size = 64;

    constexpr void set(uint32_t index) { bits_ |= uint64_t{1} << index; }
    constexpr void clear(uint32_t index) { bits_ &= ~(uint64_t{1} << index); }
    constexpr bool test(uint32_t index) const { return (bits_ >> index & 1) != 0; }
    constexpr bool empty() const { return bits_ == 0; }
    constexpr uint32_t count() const { return static_cast<uint32_t>(std::popcount(bits_)); }

    // The set is not empty.
    constexpr uint32_t highest() const {
        return static_cast<uint32_t>(63 - std::countl_zero(bits_));
    }
    constexpr uint32_t lowest() const { return static_cast<uint32_t>(std::countr_zero(bits_)); }

    // The smallest member at or above `index` (< 64), or `size` if there is none.
    constexpr uint32_t lowest_from(uint32_t index) const {
        uint64_t rest = bits_ >> index;
        return rest == 0 ? size : index + static_cast<uint32_t>(std::countr_zero(rest));
    }

private:
    uint64_t bits_ = 0;
};

}  // namespace annulus
