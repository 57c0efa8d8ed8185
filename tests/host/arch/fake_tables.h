// SPDX-License-Identifier: MIT
// Physical memory that exists only in a test: table pages that are counted and may run out.
#pragma once

#include "arch/page_table.h"

#include <array>
#include <map>
#include <memory>

namespace annulus::arch {

class FakeTables {
public:
    uint64_t* entries(PhysicalAddress table) { return pages_.at(table)->data(); }

    Result<PhysicalAddress> allocate_table() {
        if (left_ == 0) return Error::no_budget;
        --left_;
        const PhysicalAddress page = next_;
        next_ += page_size;
        pages_[page] = std::make_unique<std::array<uint64_t, 512>>();
        return page;
    }

    void free_table(PhysicalAddress table) {
        ++left_;
        // A table that is freed twice is not in the map any more.
        if (pages_.erase(table) != 1) std::abort();
    }

    size_t live() const { return pages_.size(); }
    void allow(size_t tables) { left_ = tables; }

private:
    std::map<PhysicalAddress, std::unique_ptr<std::array<uint64_t, 512>>> pages_;
    PhysicalAddress next_ = 0x100000;
    size_t left_ = 1'000'000;
};

}  // namespace annulus::arch
