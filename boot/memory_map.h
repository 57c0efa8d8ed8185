// SPDX-License-Identifier: MIT
// Lists of physical ranges, and how a firmware's map becomes memory that can be trusted.
//
// No hardware access. The map comes from outside: entries may overlap, contradict each other,
// overflow or lie beyond what the CPU can address; whatever is not clearly RAM is not used.
#pragma once

#include "boot/hvm_start_info.h"
#include "kernel/boot_info.h"

#include <stddef.h>

#include <array>
#include <span>

namespace annulus::arch {

using kernel::PhysicalRange;

// A firmware map of more entries is refused. QEMU makes 6 to 9, the largest seen on servers is
// below 200.
inline constexpr size_t map_entries_max = 256;

// An array of ranges with a fixed capacity.
class RangeList {
public:
    std::span<const PhysicalRange> ranges() const { return {ranges_.data(), count_}; }
    bool empty() const { return count_ == 0; }

    // Appends; false when full. Empty ranges are left out.
    bool add(PhysicalRange range);
    // Sorts by address.
    void sort();
    // Sorts, and joins ranges that touch or overlap.
    void merge();
    // Cuts a range out of all. When a split finds no room, the smaller half is lost.
    void subtract(PhysicalRange hole);
    // Cuts off everything from `limit` on.
    void clip(uint64_t limit);
    // True when one of the ranges covers `range` entirely.
    bool covers(PhysicalRange range) const;
    // Takes `size` bytes from the lowest range below `limit` that has room; empty when none has.
    PhysicalRange take(uint64_t size, uint64_t limit);

private:
    void remove(size_t index);

    // Cutting n holes out of m ranges leaves at most n + m.
    std::array<PhysicalRange, 2 * map_entries_max> ranges_{};
    size_t count_ = 0;
};

// Page aligned, the smallest range that contains `range`. The end saturates at the last page.
PhysicalRange widen_to_pages(PhysicalRange range);
// Page aligned, the largest range within `range`; empty when there is none.
PhysicalRange narrow_to_pages(PhysicalRange range);

struct MemoryMap {
    RangeList ram;       // all RAM below the limit, page aligned: what the direct map covers
    RangeList reserved;  // everything that the map does not call RAM, page aligned
};

// Sorts a firmware's map. An address claimed both as RAM and as something else is not RAM. `limit`
// is the first physical address that cannot be used. False: more than map_entries_max entries.
bool build_memory_map(std::span<const HvmMapEntry> entries, uint64_t limit, MemoryMap& map);

}  // namespace annulus::arch
