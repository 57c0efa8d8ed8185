// SPDX-License-Identifier: MIT
// Firmware memory maps, sane and hostile.
#include "boot/memory_map.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace annulus::arch {
namespace {

constexpr uint64_t no_limit = uint64_t{1} << 46;

std::vector<PhysicalRange> ram_of(const std::vector<HvmMapEntry>& entries,
                                  uint64_t limit = no_limit) {
    MemoryMap map;
    EXPECT_TRUE(build_memory_map(entries, limit, map));
    return {map.ram.ranges().begin(), map.ram.ranges().end()};
}

using Ranges = std::vector<PhysicalRange>;

TEST(MemoryMap, SortsAndJoins) {
    EXPECT_EQ(ram_of({{0x3000, 0x1000, 1, 0}, {0x1000, 0x1000, 1, 0}, {0x2000, 0x1000, 1, 0}}),
              (Ranges{{0x1000, 0x4000}}));
    EXPECT_EQ(ram_of({{0x5000, 0x1000, 1, 0}, {0x1000, 0x3000, 1, 0}, {0x2000, 0x1000, 1, 0}}),
              (Ranges{{0x1000, 0x4000}, {0x5000, 0x6000}}));
}

TEST(MemoryMap, KeepsWholePagesOnly) {
    EXPECT_EQ(ram_of({{0x1001, 0x2fff, 1, 0}}), (Ranges{{0x2000, 0x4000}}));
    EXPECT_EQ(ram_of({{0x1001, 0xfff, 1, 0}}), Ranges{});
    EXPECT_EQ(ram_of({{0x1001, 0x10, 1, 0}}), Ranges{});
    EXPECT_EQ(ram_of({{0, 0, 1, 0}}), Ranges{});
}

TEST(MemoryMap, ReservedWinsAndTakesWholePages) {
    EXPECT_EQ(ram_of({{0x1000, 0x9000, 1, 0}, {0x3fff, 2, 2, 0}}),
              (Ranges{{0x1000, 0x3000}, {0x5000, 0xa000}}));
    EXPECT_EQ(ram_of({{0x3fff, 2, 7, 0}, {0x1000, 0x9000, 1, 0}}),
              (Ranges{{0x1000, 0x3000}, {0x5000, 0xa000}}));
    EXPECT_EQ(ram_of({{0x1000, 0x9000, 1, 0}, {0, ~uint64_t{0}, 2, 0}}), Ranges{});
}

TEST(MemoryMap, SurvivesOverflow) {
    EXPECT_EQ(ram_of({{~uint64_t{0}, ~uint64_t{0}, 1, 0}}), Ranges{});
    EXPECT_EQ(ram_of({{0x1000, ~uint64_t{0}, 1, 0}}, 0x10000), (Ranges{{0x1000, 0x10000}}));
    EXPECT_EQ(ram_of({{0x1000, 0x9000, 1, 0}, {0x5000, ~uint64_t{0}, 2, 0}}),
              (Ranges{{0x1000, 0x5000}}));
    EXPECT_EQ(ram_of({{0x20000, 0x1000, 1, 0}}, 0x10000), Ranges{});
}

TEST(MemoryMap, RefusesTooManyEntries) {
    MemoryMap map;
    const std::vector<HvmMapEntry> most(map_entries_max, {0x1000, 0x1000, 1, 0});
    EXPECT_TRUE(build_memory_map(most, no_limit, map));
    MemoryMap other;
    const std::vector<HvmMapEntry> more(map_entries_max + 1, {0x1000, 0x1000, 1, 0});
    EXPECT_FALSE(build_memory_map(more, no_limit, other));
}

TEST(RangeList, TakesFromTheLowestRangeWithRoom) {
    RangeList list;
    list.add({0x1000, 0x2000});
    list.add({0x10000, 0x14000});
    EXPECT_EQ(list.take(0x2000, 0x20000), (PhysicalRange{0x10000, 0x12000}));
    EXPECT_EQ(list.take(0x1000, 0x20000), (PhysicalRange{0x1000, 0x2000}));
    EXPECT_EQ(list.take(0x1000, 0x12000), PhysicalRange{});
    EXPECT_EQ(list.take(0x3000, 0x20000), PhysicalRange{});
    ASSERT_EQ(list.ranges().size(), 1u);
}

TEST(RangeList, LosesMemoryRatherThanAHole) {
    RangeList list;
    while (list.add({list.ranges().size() * 0x10000, list.ranges().size() * 0x10000 + 0x8000})) {
    }
    const PhysicalRange hole{0x12000, 0x13000};
    list.subtract(hole);
    for (const PhysicalRange& range : list.ranges()) EXPECT_FALSE(range.overlaps(hole));
}

// Random maps against a page-by-page model.
TEST(MemoryMap, AgreesWithAModel) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 2000; ++round) {
        std::vector<HvmMapEntry> entries(random() % 12);
        for (auto& entry : entries) {
            entry = {random() % 0x40000, random() % 0x20000, random() % 3 ? 1u : 2u, 0};
        }
        constexpr uint64_t limit = 0x50000;
        MemoryMap map;
        ASSERT_TRUE(build_memory_map(entries, limit, map));
        for (uint64_t page = 0; page < 0x70000; page += 0x1000) {
            // RAM when single entries cover the page, after rounding inwards, and none else does.
            bool expected = page < limit;
            bool covered = false;
            for (const auto& entry : entries) {
                const uint64_t end = entry.address + entry.size;
                if (entry.type == 1) {
                    covered |= entry.address <= page && end >= page + 0x1000;
                } else if (entry.size > 0) {
                    expected &= !(entry.address < page + 0x1000 && end > page);
                }
            }
            ASSERT_EQ(map.ram.covers({page, page + 0x1000}), expected && covered) << round;
        }
        const auto ranges = map.ram.ranges();
        for (size_t i = 0; i < ranges.size(); ++i) {
            ASSERT_FALSE(ranges[i].empty());
            if (i) ASSERT_LT(ranges[i - 1].end, ranges[i].begin);
        }
    }
}

}  // namespace
}  // namespace annulus::arch
