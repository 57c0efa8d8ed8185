// SPDX-License-Identifier: MIT
// The page allocator used by several CPUs at once, while another one audits the ledger.
#include "kernel/memory/page_allocator.h"

#include "tests/support/kernel_hooks.h"
#include "tests/support/page_arena.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <random>
#include <stop_token>
#include <thread>
#include <vector>

namespace annulus::kernel {
namespace {

// Blocks that one CPU allocated and another one is to free.
struct Exchange {
    std::mutex mutex;
    std::vector<std::pair<PhysicalPage, uint32_t>> blocks;
};

void run_cpu(PageAllocator& pages, Exchange& exchange, uint32_t cpu, int steps) {
    test::play_cpu(cpu);
    std::mt19937 random(cpu);
    for (int step = 0; step < steps; ++step) {
        const uint32_t order = random() % 8 == 0 ? random() % 5 : 0;
        auto block = order == 0 && random() % 2 ? pages.allocate_zeroed() : pages.allocate(order);
        std::pair<PhysicalPage, uint32_t> leaving{};
        if (block.ok()) {
            // A plain write: the thread sanitizer sees a page that two own.
            memset(pages.pointer(*block), static_cast<int>(cpu + 1), 64);
            leaving = {*block, order};
            const std::lock_guard guard(exchange.mutex);
            exchange.blocks.emplace_back(leaving);
            std::swap(exchange.blocks[random() % exchange.blocks.size()], exchange.blocks.back());
            leaving = {};
            if (exchange.blocks.size() > 600) {
                leaving = exchange.blocks.back();
                exchange.blocks.pop_back();
            }
        }
        if (leaving.first != PhysicalPage{}) pages.free(leaving.first, leaving.second);
        if (random() % 32 == 0) pages.zero_some(8);
        if (random() % 512 == 0) pages.flush_caches();
    }
}

TEST(PageAllocatorThreads, LedgerIsExactAtAnyTime) {
    test::PageArena arena(test::PageArena::one_range(2048));
    PageAllocator& pages = arena.pages();
    Exchange exchange;
    std::atomic<bool> stop{false};
    uint64_t audits = 0;
    std::thread auditor([&] {
        test::play_cpu(9);
        // It may get little of a loaded machine while the others run.
        while (!stop.load() || audits <= 100) {
            const PageLedger ledger = pages.ledger();
            ASSERT_EQ(ledger.total, ledger.free + ledger.zeroed + ledger.cached + ledger.allocated);
            ++audits;
        }
    });
    std::vector<std::thread> cpus;
    for (uint32_t cpu = 0; cpu < 4; ++cpu) {
        cpus.emplace_back([&, cpu] { run_cpu(pages, exchange, cpu, 20'000); });
    }
    for (std::thread& cpu : cpus) cpu.join();
    stop = true;
    auditor.join();
    EXPECT_GT(audits, 100u);
    uint64_t held = 0;
    for (auto [page, order] : exchange.blocks) held += uint64_t{1} << order;
    EXPECT_EQ(pages.ledger().allocated, held);
    for (auto [page, order] : exchange.blocks) pages.free(page, order);
    pages.flush_caches();
    EXPECT_EQ(pages.ledger().free, pages.total_pages());
}

// A page that an idle CPU zeroes at that moment is in nobody's list.
TEST(PageAllocatorThreads, TheLastPageIsFoundWhileItIsZeroed) {
    test::PageArena arena(test::PageArena::one_range(32));
    PageAllocator& pages = arena.pages();
    std::atomic<uint64_t> zeroed{0};
    std::vector<std::jthread> idle;
    for (uint32_t cpu = 1; cpu < 3; ++cpu) {
        idle.emplace_back([&, cpu](const std::stop_token& over) {
            test::play_cpu(cpu);
            while (!over.stop_requested()) zeroed += pages.zero_some(1);
        });
    }
    test::play_cpu(0);
    std::vector<PhysicalPage> held;
    for (int round = 0; round < 3'000; ++round) {
        while (held.size() < pages.total_pages()) {
            auto page = round % 2 != 0 ? pages.allocate_zeroed() : pages.allocate(0);
            ASSERT_TRUE(page.ok()) << "page " << held.size() << " in round " << round;
            held.push_back(*page);
        }
        EXPECT_EQ(pages.allocate(0).error(), Error::no_memory);
        for (PhysicalPage page : held) pages.free(page, 0);
        held.clear();
        pages.flush_caches();
    }
    // Now that nothing is held, they find pages for certain.
    while (zeroed.load() == 0) std::this_thread::yield();
}

}  // namespace
}  // namespace annulus::kernel
