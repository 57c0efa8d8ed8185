// SPDX-License-Identifier: MIT
// Arithmetic on lists of physical ranges.
#include "boot/memory_map.h"

#include "abi/limits.h"

#include <algorithm>

namespace annulus::arch {

bool RangeList::add(PhysicalRange range) {
    if (range.empty()) return true;
    if (count_ == ranges_.size()) return false;
    ranges_[count_++] = range;
    return true;
}

void RangeList::sort() {
    // Insertion: at most a few hundred entries, nearly sorted, and no library code.
    for (size_t i = 1; i < count_; ++i) {
        const PhysicalRange moving = ranges_[i];
        size_t at = i;
        for (; at > 0 && ranges_[at - 1].begin > moving.begin; --at) ranges_[at] = ranges_[at - 1];
        ranges_[at] = moving;
    }
}

void RangeList::merge() {
    sort();
    size_t kept = 0;
    for (size_t i = 1; i < count_; ++i) {
        if (ranges_[i].begin <= ranges_[kept].end) {
            ranges_[kept].end = std::max(ranges_[kept].end, ranges_[i].end);
        } else {
            ranges_[++kept] = ranges_[i];
        }
    }
    if (count_ > 0) count_ = kept + 1;
}

void RangeList::remove(size_t index) {
    for (size_t i = index + 1; i < count_; ++i) ranges_[i - 1] = ranges_[i];
    --count_;
}

void RangeList::subtract(PhysicalRange hole) {
    if (hole.empty()) return;
    for (size_t i = 0; i < count_;) {
        PhysicalRange& range = ranges_[i];
        if (!range.overlaps(hole)) {
            ++i;
            continue;
        }
        const PhysicalRange below{range.begin, std::min(range.end, hole.begin)};
        const PhysicalRange above{std::max(range.begin, hole.end), range.end};
        if (below.empty() && above.empty()) {
            remove(i);
        } else if (below.empty() || above.empty()) {
            range = below.empty() ? above : below;
            ++i;
        } else {
            const bool room = count_ < ranges_.size();
            if (room) {
                for (size_t at = count_++; at > i + 1; --at) ranges_[at] = ranges_[at - 1];
                ranges_[i] = below;
                ranges_[i + 1] = above;
            } else {
                range = below.size() >= above.size() ? below : above;
            }
            i += room ? 2 : 1;
        }
    }
}

void RangeList::clip(uint64_t limit) { subtract({limit, ~uint64_t{0}}); }

bool RangeList::covers(PhysicalRange range) const {
    const auto all = ranges();
    return std::any_of(all.begin(), all.end(),
                       [&](const PhysicalRange& one) { return one.contains(range); });
}

PhysicalRange RangeList::take(uint64_t size, uint64_t limit) {
    for (size_t i = 0; i < count_; ++i) {
        PhysicalRange& range = ranges_[i];
        if (range.size() < size || range.begin + size > limit) continue;
        const PhysicalRange taken{range.begin, range.begin + size};
        range.begin += size;
        if (range.empty()) remove(i);
        return taken;
    }
    return {};
}

PhysicalRange widen_to_pages(PhysicalRange range) {
    constexpr uint64_t mask = abi::page_size - 1;
    const uint64_t last_page = ~mask;
    const uint64_t end = range.end > last_page ? last_page : (range.end + mask) & ~mask;
    return {range.begin & ~mask, end};
}

PhysicalRange narrow_to_pages(PhysicalRange range) {
    constexpr uint64_t mask = abi::page_size - 1;
    if (range.begin > ~mask) return {};
    const PhysicalRange result{(range.begin + mask) & ~mask, range.end & ~mask};
    return result.empty() ? PhysicalRange{} : result;
}

bool build_memory_map(std::span<const HvmMapEntry> entries, uint64_t limit, MemoryMap& map) {
    if (entries.size() > map_entries_max) return false;
    for (const HvmMapEntry& entry : entries) {
        const uint64_t room = ~uint64_t{0} - entry.address;
        const PhysicalRange range{entry.address, entry.address + std::min(entry.size, room)};
        const bool ram = entry.type == hvm_map_type_ram;
        const bool added =
            ram ? map.ram.add(narrow_to_pages(range)) : map.reserved.add(widen_to_pages(range));
        if (!added) return false;
    }
    map.ram.merge();
    map.ram.clip(limit);
    map.reserved.sort();
    for (const PhysicalRange& range : map.reserved.ranges()) map.ram.subtract(range);
    return true;
}

}  // namespace annulus::arch
