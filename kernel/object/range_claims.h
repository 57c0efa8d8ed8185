// SPDX-License-Identifier: MIT
// RangeClaims: which ranges of numbers (ports, lines, physical addresses) are handed out. Each
// number at most once. No locks.
#pragma once

#include "base/result.h"

#include <stddef.h>
#include <stdint.h>

namespace annulus::kernel {

// Up to `capacity` ranges [begin, end), sorted.
template <size_t capacity>
class RangeClaims {
public:
    // busy: a part is handed out already. limit: too many ranges. The range is not empty.
    Result<void> claim(uint64_t begin, uint64_t end) {
        const size_t at = first_ending_above(begin);
        if (at < count_ && ranges_[at].begin < end) return Error::busy;
        if (count_ == capacity) return Error::limit;
        for (size_t i = count_; i > at; --i) ranges_[i] = ranges_[i - 1];
        ranges_[at] = {begin, end};
        ++count_;
        return {};
    }

    // The range was claimed exactly so. False: it was not.
    bool give_back(uint64_t begin, uint64_t end) {
        const size_t at = first_ending_above(begin);
        if (at == count_ || ranges_[at].begin != begin || ranges_[at].end != end) return false;
        for (size_t i = at + 1; i < count_; ++i) ranges_[i - 1] = ranges_[i];
        --count_;
        return true;
    }

    size_t count() const { return count_; }

private:
    struct Range {
        uint64_t begin, end;
    };

    size_t first_ending_above(uint64_t number) const {
        size_t low = 0;
        size_t high = count_;
        while (low < high) {
            const size_t middle = low + (high - low) / 2;
            if (ranges_[middle].end > number) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return low;
    }

    Range ranges_[capacity] = {};
    size_t count_ = 0;
};

}  // namespace annulus::kernel
