// SPDX-License-Identifier: MIT
// PriorityCounts: how many members of a queue have each priority, to know the highest at once.
#pragma once

#include "base/bitmap.h"

#include <stdint.h>

namespace annulus {

// Not synchronised. Every operation is O(1).
class PriorityCounts {
public:
    // `priority` is below PriorityBitmap::size; at most 65535 members have the same.
    constexpr void add(uint8_t priority) {
        ++counts_[priority];
        present_.set(priority);
    }
    // A member has it.
    constexpr void remove(uint8_t priority) {
        if (--counts_[priority] == 0) present_.clear(priority);
    }
    // 0 without members.
    constexpr uint8_t highest() const {
        return present_.empty() ? uint8_t{0} : static_cast<uint8_t>(present_.highest());
    }

private:
    PriorityBitmap present_;
    uint16_t counts_[PriorityBitmap::size] = {};
};

}  // namespace annulus
