// SPDX-License-Identifier: MIT
// The object heap used by several CPUs at once; objects are freed on other CPUs than their own.
#include "kernel/memory/object_heap.h"

#include "tests/support/kernel_hooks.h"
#include "tests/support/page_arena.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace annulus::kernel {
namespace {

struct Object {
    void* pointer;
    size_t size;
};

struct Exchange {
    std::mutex mutex;
    std::vector<Object> objects;

    // Puts one in and, when there are many, takes another one out.
    Object swap(Object object, uint32_t random) {
        const std::lock_guard guard(mutex);
        objects.push_back(object);
        if (objects.size() < 800) return {nullptr, 0};
        std::swap(objects[random % objects.size()], objects.back());
        const Object other = objects.back();
        objects.pop_back();
        return other;
    }
};

void run_cpu(ObjectHeap& heap, Exchange& exchange, uint32_t cpu, int steps) {
    test::play_cpu(cpu);
    std::mt19937 random(cpu);
    for (int step = 0; step < steps; ++step) {
        const size_t size = 1 + random() % (step % 16 == 0 ? 10'000 : 400);
        auto pointer = heap.allocate(size);
        if (!pointer.ok()) continue;
        // A plain write: the thread sanitizer sees an object that two own.
        memset(*pointer, 1, size);
        const Object other = exchange.swap({*pointer, size}, random());
        if (other.pointer != nullptr) heap.free(other.pointer, other.size);
        if (random() % 512 == 0) heap.flush_caches();
    }
}

TEST(ObjectHeapThreads, LedgerIsExactAtAnyTime) {
    test::PageArena arena(test::PageArena::one_range(4096));
    auto heap = std::make_unique<ObjectHeap>();
    heap->init(arena.pages(), 0x9876'5432'1001'2345);
    Exchange exchange;
    std::atomic<bool> stop{false};
    std::thread auditor([&] {
        test::play_cpu(9);
        while (!stop.load()) {
            const HeapLedger ledger = heap->ledger();
            ASSERT_EQ(ledger.slots, ledger.allocated + ledger.cached + ledger.free);
        }
    });
    std::vector<std::thread> cpus;
    for (uint32_t cpu = 0; cpu < 4; ++cpu) {
        cpus.emplace_back([&, cpu] { run_cpu(*heap, exchange, cpu, 15'000); });
    }
    for (std::thread& cpu : cpus) cpu.join();
    stop = true;
    auditor.join();
    EXPECT_EQ(heap->ledger().allocated, exchange.objects.size());
    for (const Object& object : exchange.objects) heap->free(object.pointer, object.size);
    heap->flush_caches();
    EXPECT_EQ(heap->ledger().pages, 0u);
    EXPECT_EQ(arena.pages().ledger().allocated, 0u);
}

}  // namespace
}  // namespace annulus::kernel
