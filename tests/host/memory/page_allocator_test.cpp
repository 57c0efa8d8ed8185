// SPDX-License-Identifier: MIT
// Tests of the page allocator: set-up, blocks, caches, zeroed pool, exact ledger, callers' bugs.
#include "kernel/memory/page_allocator.h"

#include "tests/support/kernel_hooks.h"
#include "tests/support/page_arena.h"

#include <gtest/gtest.h>
#include <string.h>

#include <algorithm>
#include <bit>
#include <map>
#include <random>
#include <vector>

namespace annulus::kernel {
namespace {

using test::PageArena;
using test::play_cpu;

constexpr uint64_t mib = 1024 * 1024;
constexpr uint64_t gib = 1024 * mib;

void expect_exact(PageAllocator& pages, uint64_t allocated) {
    const PageLedger ledger = pages.ledger();
    ASSERT_EQ(ledger.allocated, allocated);
    ASSERT_EQ(ledger.total, ledger.free + ledger.zeroed + ledger.cached + ledger.allocated);
}

class PageAllocatorTest : public testing::Test {
protected:
    ~PageAllocatorTest() override { play_cpu(0); }
    PageArena arena{PageArena::one_range(4096)};
    PageAllocator& pages = arena.pages();
};

TEST(PageAllocatorInit, LargeMachineWithAHole) {
    PageArena arena({{1 * mib, 512 * mib}, {513 * mib, 3 * gib}, {4 * gib, 5 * gib}});
    const uint64_t usable = 511 * mib + (3 * gib - 513 * mib) + 1 * gib;
    EXPECT_EQ(arena.frame_table().end, 5 * gib);
    EXPECT_EQ(arena.frame_table().size(), 5 * gib / 4096 * 32);
    PageAllocator& pages = arena.pages();
    EXPECT_EQ(pages.total_pages() * 4096, usable - arena.frame_table().size());
    expect_exact(pages, 0);
    auto block = pages.allocate(PageAllocator::max_order);
    ASSERT_TRUE(block.ok());
    EXPECT_EQ(block->address() % gib, 0u);
    pages.free(*block, PageAllocator::max_order);
    expect_exact(pages, 0);
}

TEST(PageAllocatorInit, RefusesBadRanges) {
    const auto choose = [](std::vector<PhysicalRange> ranges) {
        return PageAllocator::choose_frame_table(ranges).error();
    };
    EXPECT_EQ(choose({}), Error::bad_argument);
    EXPECT_EQ(choose({{4096, 4096}}), Error::bad_argument);
    EXPECT_EQ(choose({{8192, 4096}}), Error::bad_argument);
    EXPECT_EQ(choose({{1, 8192}}), Error::bad_argument);
    EXPECT_EQ(choose({{4096, 8193}}), Error::bad_argument);
    EXPECT_EQ(choose({{8192, 16384}, {4096, 12288}}), Error::overlap);
    EXPECT_EQ(choose({{4096, 1 * mib}, {64 * gib, 64 * gib + 4096}}), Error::no_memory);
    EXPECT_EQ(choose({{4096, (uint64_t{no_frame} + 1) << 12}}), Error::out_of_range);
    EXPECT_EQ(choose({{0, ~uint64_t{4095}}}), Error::out_of_range);
    EXPECT_EQ(choose({{4096, 1 * mib}}), Error::ok);
}

TEST(PageAllocatorInit, RefusesABadFrameTable) {
    PageAllocator pages;
    const PhysicalRange range{4096, 64 * mib};
    const auto init = [&](PhysicalRange table) {
        return pages.init({&range, 1}, table, nullptr).status().code();
    };
    EXPECT_EQ(init({}), Error::bad_argument);
    EXPECT_EQ(init({4097, 1 * mib}), Error::bad_argument);
    EXPECT_EQ(init({4096, 8192}), Error::no_room);
    EXPECT_EQ(init({64 * mib, 128 * mib}), Error::out_of_range);
    EXPECT_EQ(init({32 * mib, 65 * mib}), Error::out_of_range);
}

TEST_F(PageAllocatorTest, BlocksAreAlignedAndDisjoint) {
    std::vector<std::pair<PhysicalPage, uint32_t>> blocks;
    uint64_t allocated = 0;
    for (uint32_t order = 0; order <= 10; ++order) {
        auto block = pages.allocate(order);
        ASSERT_TRUE(block.ok());
        EXPECT_EQ(block->frame % (1u << order), 0u);
        for (auto [other, other_order] : blocks) {
            EXPECT_TRUE(block->frame + (1u << order) <= other.frame ||
                        other.frame + (1u << other_order) <= block->frame);
        }
        blocks.emplace_back(*block, order);
        allocated += uint64_t{1} << order;
        expect_exact(pages, allocated);
    }
    for (auto [block, order] : blocks) pages.free(block, order);
    expect_exact(pages, 0);
}

TEST_F(PageAllocatorTest, RefusesWhatItCannotGive) {
    EXPECT_EQ(pages.allocate(PageAllocator::max_order + 1).error(), Error::limit);
    EXPECT_EQ(pages.allocate(~0u).error(), Error::limit);
    EXPECT_EQ(pages.allocate(PageAllocator::max_order).error(), Error::no_memory);
    EXPECT_EQ(PageAllocator::order_for(0), 0u);
    EXPECT_EQ(PageAllocator::order_for(1), 0u);
    EXPECT_EQ(PageAllocator::order_for(3), 2u);
    EXPECT_EQ(PageAllocator::order_for(uint64_t{1} << 18), 18u);
    EXPECT_GT(PageAllocator::order_for((uint64_t{1} << 18) + 1), PageAllocator::max_order);
    EXPECT_GT(PageAllocator::order_for(~uint64_t{0}), PageAllocator::max_order);
}

TEST_F(PageAllocatorTest, EveryPageCanBeHadEvenFromOtherCaches) {
    std::vector<PhysicalPage> mine;
    // Fill the caches of three CPUs and the zeroed pool.
    for (uint32_t cpu = 1; cpu < 4; ++cpu) {
        play_cpu(cpu);
        std::vector<PhysicalPage> some;
        for (int i = 0; i < 40; ++i) some.push_back(*pages.allocate(0));
        for (PhysicalPage page : some) pages.free(page, 0);
    }
    EXPECT_EQ(pages.zero_some(100), 100u);
    auto zeroed = pages.allocate_zeroed();
    pages.free(*zeroed, 0);
    play_cpu(0);
    const uint64_t total = pages.total_pages();
    for (uint64_t i = 0; i < total; ++i) {
        auto page = pages.allocate(0, PageUse::user);
        ASSERT_TRUE(page.ok()) << i;
        mine.push_back(*page);
    }
    expect_exact(pages, total);
    EXPECT_EQ(pages.allocate(0).error(), Error::no_memory);
    EXPECT_EQ(pages.allocate_zeroed().error(), Error::no_memory);
    EXPECT_EQ(pages.zero_some(1), 0u);
    EXPECT_EQ(pages.frame(mine[0]).tag.load().state(), FrameState::user);
    for (PhysicalPage page : mine) pages.free(page, 0);
    expect_exact(pages, 0);
    EXPECT_EQ(pages.free_pages(), total);
}

TEST_F(PageAllocatorTest, MergesEverythingAgain) {
    auto largest = [&] {
        uint32_t order = PageAllocator::max_order;
        for (;; --order) {
            auto block = pages.allocate(order);
            if (!block.ok()) continue;
            pages.free(*block, order);
            return order;
        }
    };
    const uint32_t before = largest();
    EXPECT_GE(before, 10u);
    std::vector<PhysicalPage> all;
    while (true) {
        auto page = pages.allocate(0);
        if (!page.ok()) break;
        all.push_back(*page);
    }
    std::shuffle(all.begin(), all.end(), std::mt19937(7));
    for (PhysicalPage page : all) pages.free(page, 0);
    EXPECT_EQ(largest(), before);
    pages.flush_caches();
    EXPECT_EQ(pages.ledger().free, pages.total_pages());
}

TEST_F(PageAllocatorTest, RunsKeepTheirPagesAndNoMore) {
    const uint64_t before = pages.free_pages();
    std::vector<std::pair<PhysicalPage, uint64_t>> runs;
    for (const uint64_t count : {1, 2, 3, 5, 7, 8, 33, 63, 100, 127}) {
        const uint64_t free = pages.free_pages();
        const PhysicalPage run = pages.allocate_run(count).value();
        EXPECT_EQ(run.frame % std::bit_ceil(count), 0u);
        EXPECT_EQ(pages.free_pages(), free - count);
        for (uint64_t i = 0; i < count; ++i) {
            // Nobody else gets a page of a run.
            memset(pages.pointer({run.frame + static_cast<uint32_t>(i)}), 0x5a, abi::page_size);
        }
        runs.emplace_back(run, count);
    }
    for (const auto& [run, count] : runs) {
        for (const auto& [other, size] : runs) {
            const bool apart = run.frame + count <= other.frame || other.frame + size <= run.frame;
            EXPECT_TRUE(apart || run.frame == other.frame);
        }
    }
    for (const auto& [run, count] : runs) pages.free_run(run, count);
    EXPECT_EQ(pages.free_pages(), before);
    pages.flush_caches();
    EXPECT_EQ(pages.ledger().free, pages.total_pages());
}

TEST_F(PageAllocatorTest, ZeroedPagesAreZero) {
    std::vector<PhysicalPage> dirty;
    for (int i = 0; i < 300; ++i) {
        dirty.push_back(*pages.allocate(0));
        memset(pages.pointer(dirty.back()), 0xab, 4096);
    }
    for (PhysicalPage page : dirty) pages.free(page, 0);
    EXPECT_EQ(pages.zero_some(64), 64u);
    EXPECT_EQ(pages.ledger().zeroed, 64u);
    for (int i = 0; i < 300; ++i) {
        auto page = pages.allocate_zeroed(PageUse::user);
        ASSERT_TRUE(page.ok());
        const std::byte* bytes = pages.pointer(*page);
        ASSERT_TRUE(std::all_of(bytes, bytes + 4096, [](std::byte b) { return b == std::byte{}; }));
        expect_exact(pages, static_cast<uint64_t>(i) + 1);
    }
    EXPECT_EQ(pages.ledger().zeroed, 0u);
}

TEST_F(PageAllocatorTest, TheZeroedPoolIsBounded) {
    uint64_t sum = 0;
    while (uint32_t some = pages.zero_some(50)) sum += some;
    EXPECT_EQ(sum, pages.total_pages() / 16);
    expect_exact(pages, 0);
    // The pool stands in no one's way.
    auto block = pages.allocate(11);
    EXPECT_TRUE(block.ok());
}

TEST_F(PageAllocatorTest, CacheIsBounded) {
    std::vector<PhysicalPage> some;
    for (int i = 0; i < 1000; ++i) some.push_back(*pages.allocate(0));
    for (PhysicalPage page : some) {
        pages.free(page, 0);
        ASSERT_LE(pages.ledger().cached, PageAllocator::cache_capacity);
    }
}

TEST_F(PageAllocatorTest, PagesAndPointers) {
    auto page = pages.allocate(3);
    std::byte* bytes = pages.pointer(*page);
    EXPECT_EQ(pages.page_of(bytes), *page);
    EXPECT_EQ(pages.page_of(bytes + 4095), *page);
    EXPECT_EQ(pages.page_of(bytes + 4096).frame, page->frame + 1);
    EXPECT_EQ(pages.frame(*page).owner, 0u);
    EXPECT_EQ(pages.frame(*page).references.load(), 0u);
}

using PageAllocatorDeathTest = PageAllocatorTest;

TEST_F(PageAllocatorDeathTest, CallersBugsAreFound) {
    const PhysicalPage single = *pages.allocate(0);
    const PhysicalPage block = *pages.allocate(3);
    EXPECT_DEATH(pages.free(single, 1), "another order");
    EXPECT_DEATH(pages.free(block, 0), "another order");
    EXPECT_DEATH(pages.free({block.frame + 1}, 0), "not allocated");
    EXPECT_DEATH(pages.free({0}, 0), "not allocated");
    EXPECT_DEATH(pages.free({no_frame}, 0), "does not know");
    EXPECT_DEATH(pages.free(PhysicalPage{}, 0), "does not know");
    EXPECT_DEATH(pages.free({single.frame}, ~0u), "another order");
    EXPECT_DEATH(
        {
            pages.free(single, 0);
            pages.free(single, 0);
        },
        "not allocated");
    EXPECT_DEATH(
        {
            pages.free(block, 3);
            pages.free(block, 3);
        },
        "not allocated");
    EXPECT_DEATH(
        {
            pages.frame(single).pins = 1;
            pages.free(single, 0);
        },
        "pinned");
    EXPECT_DEATH(
        {
            pages.frame(single).references = 2;
            pages.free(single, 0);
        },
        "shared");
    const uint32_t table_frame = static_cast<uint32_t>(arena.frame_table().begin >> 12);
    EXPECT_DEATH(pages.free({table_frame}, 0), "not allocated");
    int foreign = 0;
    EXPECT_DEATH(pages.page_of(&foreign), "outside");
}

TEST_F(PageAllocatorDeathTest, WritesToZeroedPagesAreFound) {
    if (!debug_checks) GTEST_SKIP() << "checked in debug builds only";
    ASSERT_EQ(pages.zero_some(1), 1u);
    uint32_t frame = 256;
    while (pages.frame({frame}).tag.load().state() != FrameState::zeroed) ++frame;
    pages.pointer({frame})[4095] = std::byte{1};
    EXPECT_DEATH((void)pages.allocate_zeroed(), "written to");
}

// Random operations on several CPUs' caches; every page carries its owner's mark, so that two
// owners of one page would be seen; the ledger is compared all the time.
TEST_F(PageAllocatorTest, RandomOperationsKeepTheLedgerExact) {
    std::mt19937 random(42);
    std::vector<std::pair<PhysicalPage, uint32_t>> blocks;
    uint64_t allocated = 0;
    uint32_t failures = 0;
    const auto mark = [&](PhysicalPage page, uint32_t order, uint32_t value) {
        for (uint32_t i = 0; i < 1u << order; ++i) {
            memcpy(pages.pointer({page.frame + i}), &value, sizeof value);
        }
    };
    for (int step = 0; step < 200'000; ++step) {
        play_cpu(random() % 3);
        const uint32_t choice = random() % 100;
        if (choice < 52) {
            const uint32_t order = choice < 35 ? 0 : random() % 9;
            auto block =
                choice < 15 ? pages.allocate_zeroed() : pages.allocate(choice < 35 ? 0 : order);
            if (!block.ok()) {
                ++failures;
                ASSERT_TRUE(order > 0 || allocated == pages.total_pages());
                continue;
            }
            mark(*block, order, block->frame);
            blocks.emplace_back(*block, order);
            allocated += uint64_t{1} << order;
        } else if (choice < 99 && !blocks.empty()) {
            const size_t index = random() % blocks.size();
            auto [page, order] = blocks[index];
            blocks[index] = blocks.back();
            blocks.pop_back();
            for (uint32_t i = 0; i < 1u << order; ++i) {
                uint32_t value = 0;
                memcpy(&value, pages.pointer({page.frame + i}), sizeof value);
                ASSERT_EQ(value, page.frame);
            }
            pages.free(page, order);
            allocated -= uint64_t{1} << order;
        } else if (random() % 16 == 0) {
            pages.flush_caches();
        } else {
            pages.zero_some(random() % 70);
        }
        if (step % 4 == 0) expect_exact(pages, allocated);
    }
    EXPECT_GT(failures, 0u);
    for (auto [page, order] : blocks) pages.free(page, order);
    pages.flush_caches();
    EXPECT_EQ(pages.ledger().free, pages.total_pages());
}

}  // namespace
}  // namespace annulus::kernel
