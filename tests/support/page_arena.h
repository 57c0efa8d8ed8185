// SPDX-License-Identifier: MIT
// PageArena: memory that plays a machine's RAM, for tests of what lies above the page allocator.
#pragma once

#include "kernel/memory/page_allocator.h"

#include <stdint.h>

#include <memory>
#include <vector>

namespace annulus::test {

// RAM with the given ranges, all managed by `pages`. Untouched pages cost nothing.
class PageArena {
public:
    explicit PageArena(std::vector<kernel::PhysicalRange> ranges);
    ~PageArena();
    PageArena(const PageArena&) = delete;
    PageArena& operator=(const PageArena&) = delete;

    // One range from 1 MiB on, with `pages` pages beside the frame table.
    static std::vector<kernel::PhysicalRange> one_range(uint64_t pages);

    kernel::PageAllocator& pages() { return *pages_; }
    kernel::PhysicalRange frame_table() const { return frame_table_; }

private:
    uint64_t size_;
    std::byte* memory_;
    kernel::PhysicalRange frame_table_;
    std::unique_ptr<kernel::PageAllocator> pages_;
};

}  // namespace annulus::test
