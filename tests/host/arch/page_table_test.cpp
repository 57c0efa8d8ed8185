// SPDX-License-Identifier: MIT
// Page tables over fake memory: every operation, its errors, and tearing down in steps.
#include "arch/page_table.h"

#include "tests/host/arch/fake_tables.h"

#include <gtest/gtest.h>

#include <random>

namespace annulus::arch {
namespace {

constexpr PageFlags user_read = PageFlags::read | PageFlags::user;
constexpr PageFlags user_write = user_read | PageFlags::write;
constexpr PageFlags user_execute = user_read | PageFlags::execute;
constexpr uint64_t user_limit = uint64_t{1} << 47;

class PageTableTest : public testing::Test {
protected:
    PageTableTest()
        : kernel_root_(*memory_.allocate_table()),
          table_(memory_, *PageTable<FakeTables>::create_root(memory_, kernel_root_)) {}

    // Tears everything down, `limit` units a step, and returns the number of pages it saw.
    size_t release_all(unsigned limit) {
        size_t pages = 0;
        uint64_t cursor = 0;
        while (!table_.clear(cursor, user_limit, limit, PageTable<FakeTables>::Tables::free,
                             [&](uint64_t, const Mapping&) { ++pages; })) {
        }
        return pages;
    }

    FakeTables memory_;
    PhysicalAddress kernel_root_;
    PageTable<FakeTables> table_;
};

TEST_F(PageTableTest, MapsAndFindsAPage) {
    ASSERT_TRUE(table_.map(0x400000, 0x5000, PageSize::small, user_write).ok());
    const auto found = table_.query(0x400fff);
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->physical, 0x5000u);
    EXPECT_EQ(found->size, PageSize::small);
    EXPECT_EQ(found->flags, user_write);
    EXPECT_EQ(table_.query(0x401000).error(), Error::not_found);
    EXPECT_EQ(table_.query(0x3fffff).error(), Error::not_found);
}

TEST_F(PageTableTest, EntersPagesThatLieTogether) {
    auto pages = table_.small_pages(0x400000, user_write).value();
    EXPECT_FALSE(pages.present(0x400000));
    pages.enter(0x400000, 0x5000);
    pages.enter(0x5ff000, 0x6000);
    EXPECT_TRUE(pages.present(0x400000) && pages.present(0x5ff000) && !pages.present(0x401000));
    EXPECT_EQ(pages.physical(0x5ff000), 0x6000u);
    EXPECT_EQ(table_.query(0x5ff000)->flags, user_write);
    // The same table, other rights.
    table_.small_pages(0x401000, user_execute).value().protect(0x5ff000);
    EXPECT_EQ(table_.query(0x5ff000)->flags, user_execute);
    EXPECT_EQ(table_.query(0x5ff000)->physical, 0x6000u);
    EXPECT_EQ(table_.query(0x400000)->flags, user_write);
    EXPECT_EQ(table_.small_pages(0x400000, user_write | PageFlags::execute).error(),
              Error::permission);
    EXPECT_EQ(table_.small_pages(user_limit, user_read).error(), Error::bad_argument);
    ASSERT_TRUE(table_.map(0x40000000, 0x200000, PageSize::large, user_read).ok());
    EXPECT_EQ(table_.small_pages(0x40001000, user_read).error(), Error::exists);
    // They count: a table with something in it is not passed over.
    EXPECT_EQ(release_all(64), 3u);
}

TEST_F(PageTableTest, MapsLargePages) {
    ASSERT_TRUE(table_.map(0x40000000, 0x200000, PageSize::large, user_read).ok());
    const auto found = table_.query(0x40123456);
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->physical, 0x200000u);
    EXPECT_EQ(found->size, PageSize::large);
    EXPECT_EQ(table_.unmap(0x40001000).error(), Error::bad_argument);
    EXPECT_EQ(table_.unmap(0x40000000)->physical, 0x200000u);
}

TEST_F(PageTableTest, RefusesWritableAndExecutable) {
    const PageFlags both = user_write | PageFlags::execute;
    EXPECT_EQ(table_.map(0x400000, 0x5000, PageSize::small, both).error(), Error::permission);
    ASSERT_TRUE(table_.map(0x400000, 0x5000, PageSize::small, user_execute).ok());
    EXPECT_EQ(table_.protect(0x400000, both).error(), Error::permission);
    EXPECT_EQ(table_.query(0x400000)->flags, user_execute);
}

TEST_F(PageTableTest, RefusesWhatIsNotSensible) {
    EXPECT_EQ(table_.map(0x400800, 0x5000, PageSize::small, user_read).error(),
              Error::bad_argument);
    EXPECT_EQ(table_.map(0x400000, 0x5001, PageSize::small, user_read).error(),
              Error::bad_argument);
    EXPECT_EQ(table_.map(0x400000, 0x201000, PageSize::large, user_read).error(),
              Error::bad_argument);
    EXPECT_EQ(table_.map(0x400000, uint64_t{1} << 52, PageSize::small, user_read).error(),
              Error::bad_argument);
    EXPECT_EQ(table_.map(0x400000, 0x5000, PageSize::small, PageFlags::user).error(),
              Error::bad_argument);
    // The halves of the address space, and the hole between them.
    EXPECT_EQ(table_.map(user_limit, 0x5000, PageSize::small, user_read).error(),
              Error::bad_argument);
    EXPECT_EQ(table_.map(direct_map_begin, 0x5000, PageSize::small, user_read).error(),
              Error::bad_argument);
    EXPECT_EQ(table_.map(0x400000, 0x5000, PageSize::small, PageFlags::read).error(),
              Error::bad_argument);
    EXPECT_EQ(memory_.live(), 2u);
}

TEST_F(PageTableTest, RefusesToOverlap) {
    ASSERT_TRUE(table_.map(0x400000, 0x5000, PageSize::small, user_read).ok());
    EXPECT_EQ(table_.map(0x400000, 0x6000, PageSize::small, user_read).error(), Error::exists);
    EXPECT_EQ(table_.map(0x400000, 0x200000, PageSize::large, user_read).error(), Error::exists);
    ASSERT_TRUE(table_.map(0x600000, 0x200000, PageSize::large, user_read).ok());
    EXPECT_EQ(table_.map(0x601000, 0x6000, PageSize::small, user_read).error(), Error::exists);
    EXPECT_EQ(table_.query(0x400000)->physical, 0x5000u);
}

TEST_F(PageTableTest, ProtectChangesRightsAlone) {
    ASSERT_TRUE(table_.map(0x400000, 0x5000, PageSize::small, user_write).ok());
    ASSERT_TRUE(table_.protect(0x400000, user_execute | PageFlags::uncached).ok());
    EXPECT_EQ(table_.query(0x400000)->physical, 0x5000u);
    EXPECT_EQ(table_.query(0x400000)->flags, user_execute | PageFlags::uncached);
    EXPECT_EQ(table_.protect(0x401000, user_read).error(), Error::not_found);
}

TEST_F(PageTableTest, SharesTheUpperHalf) {
    memory_.entries(kernel_root_)[256] = 0x1003;
    memory_.entries(kernel_root_)[511] = 0x2003;
    memory_.entries(kernel_root_)[3] = 0x3003;
    const auto root = PageTable<FakeTables>::create_root(memory_, kernel_root_);
    ASSERT_TRUE(root.ok());
    EXPECT_EQ(memory_.entries(*root)[256], 0x1003u);
    EXPECT_EQ(memory_.entries(*root)[511], 0x2003u);
    EXPECT_EQ(memory_.entries(*root)[3], 0u);
}

TEST_F(PageTableTest, FailsCleanlyWithoutTables) {
    for (size_t tables = 0; tables < 3; ++tables) {
        memory_.allow(tables);
        EXPECT_EQ(table_.map(0x7f0000000000, 0x5000, PageSize::small, user_read).error(),
                  Error::no_budget);
        EXPECT_EQ(table_.query(0x7f0000000000).error(), Error::not_found);
        EXPECT_EQ(release_all(64), 0u);
        EXPECT_EQ(memory_.live(), 2u);
    }
}

TEST_F(PageTableTest, TearsDownInStepsOfAnySize) {
    for (const unsigned limit : {1u, 2u, 7u, 64u, 100000u}) {
        ASSERT_TRUE(table_.map(0x10000, 0x1000, PageSize::small, user_read).ok());
        ASSERT_TRUE(table_.map(0x1ff000, 0x2000, PageSize::small, user_read).ok());
        ASSERT_TRUE(table_.map(0x40000000, 0x200000, PageSize::large, user_read).ok());
        ASSERT_TRUE(table_.map(0x7fffffffe000, 0x3000, PageSize::small, user_read).ok());
        EXPECT_EQ(release_all(limit), 4u) << limit;
        EXPECT_EQ(memory_.live(), 2u) << limit;
    }
}

TEST_F(PageTableTest, AStepIsBounded) {
    for (uint64_t i = 0; i < 1000; ++i) {
        ASSERT_TRUE(table_.map(0x400000 + i * page_size, 0x1000, PageSize::small, user_read).ok());
    }
    uint64_t cursor = 0;
    bool done = false;
    while (!done) {
        size_t pages = 0;
        done = table_.clear(cursor, user_limit, 64, PageTable<FakeTables>::Tables::free,
                            [&](uint64_t, const Mapping&) { ++pages; });
        EXPECT_LE(pages, 64u);
    }
    EXPECT_EQ(memory_.live(), 2u);
}

TEST_F(PageTableTest, ClearsARangeAndKeepsTheRest) {
    for (uint64_t i = 0; i < 16; ++i) {
        ASSERT_TRUE(
            table_.map(0x1f8000 + i * page_size, 0x1000 * i, PageSize::small, user_read).ok());
    }
    uint64_t cursor = 0x1fa000;
    std::vector<uint64_t> seen;
    while (!table_.clear(cursor, 0x202000, 3, PageTable<FakeTables>::Tables::keep,
                         [&](uint64_t address, const Mapping&) { seen.push_back(address); })) {
    }
    ASSERT_EQ(seen.size(), 8u);
    EXPECT_EQ(seen.front(), 0x1fa000u);
    EXPECT_EQ(seen.back(), 0x201000u);
    EXPECT_TRUE(table_.query(0x1f9000).ok());
    EXPECT_FALSE(table_.query(0x1fa000).ok());
    EXPECT_FALSE(table_.query(0x201000).ok());
    EXPECT_TRUE(table_.query(0x202000).ok());
    EXPECT_EQ(release_all(64), 8u);
    EXPECT_EQ(memory_.live(), 2u);
}

TEST_F(PageTableTest, AnEmptyTableIsFreedAtTheEnd) {
    ASSERT_TRUE(table_.map(0x400000, 0x1000, PageSize::small, user_read).ok());
    ASSERT_TRUE(table_.unmap(0x400000).ok());
    EXPECT_EQ(memory_.live(), 5u);
    EXPECT_EQ(release_all(1), 0u);
    EXPECT_EQ(memory_.live(), 2u);
}

TEST_F(PageTableTest, FindsAPageWhereverItIsAlone) {
    const auto cleared_below = [&](uint64_t end) {
        size_t pages = 0;
        uint64_t cursor = 0;
        while (!table_.clear(cursor, end, 5, PageTable<FakeTables>::Tables::keep,
                             [&](uint64_t, const Mapping&) { ++pages; })) {
        }
        EXPECT_GE(cursor, end);
        return pages;
    };
    for (uint64_t index = 0; index < 512; ++index) {
        ASSERT_TRUE(table_.map(index * page_size, 0x1000, PageSize::small, user_read).ok());
        EXPECT_EQ(cleared_below(index * page_size), 0u) << index;
        EXPECT_EQ(cleared_below((index + 1) * page_size), 1u) << index;
    }
    EXPECT_EQ(release_all(64), 0u);
    EXPECT_EQ(memory_.live(), 2u);
}

TEST_F(PageTableTest, TakesAFullTable) {
    // The count of present entries needs all of its ten bits.
    for (uint64_t i = 0; i < 512; ++i) {
        ASSERT_TRUE(table_.map(i * page_size, 0x1000, PageSize::small, user_read).ok());
    }
    EXPECT_EQ(release_all(64), 512u);
    EXPECT_EQ(memory_.live(), 2u);
}

// Random operations against a std::map.
TEST_F(PageTableTest, AgreesWithAModel) {
    std::mt19937_64 random(1);
    std::map<uint64_t, uint64_t> model;
    for (int step = 0; step < 20000; ++step) {
        // Few addresses, spread over all levels.
        const uint64_t address = (random() % 3 << 39) | (random() % 3 << 30) |
                                 (random() % 3 << 21) | (random() % 6 << 12);
        const uint64_t physical = (random() % 1000) << 12;
        switch (random() % 4) {
            case 0:
            case 1: {
                const auto result = table_.map(address, physical, PageSize::small, user_write);
                ASSERT_EQ(result.ok(), model.emplace(address, physical).second);
                break;
            }
            case 2: {
                const auto result = table_.unmap(address);
                const auto known = model.find(address);
                ASSERT_EQ(result.ok(), known != model.end());
                if (result.ok()) {
                    ASSERT_EQ(result->physical, known->second);
                    model.erase(known);
                }
                break;
            }
            default: {
                const auto result = table_.query(address);
                const auto known = model.find(address);
                ASSERT_EQ(result.ok(), known != model.end());
                if (result.ok()) ASSERT_EQ(result->physical, known->second);
            }
        }
        if (step % 4000 == 3999) {
            ASSERT_EQ(release_all(1 + step % 50), model.size());
            ASSERT_EQ(memory_.live(), 2u);
            model.clear();
        }
    }
}

}  // namespace
}  // namespace annulus::arch
