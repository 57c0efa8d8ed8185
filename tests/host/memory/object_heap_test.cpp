// SPDX-License-Identifier: MIT
// Tests of the object heap: sizes and charges, zeroing, slabs, exact counts, callers' bugs.
#include "kernel/memory/object_heap.h"

#include "tests/support/kernel_hooks.h"
#include "tests/support/page_arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <vector>

namespace annulus::kernel {
namespace {

using test::PageArena;
using test::play_cpu;

struct Block {
    void* pointer;
    size_t size;
};

bool all_zero(const void* begin, size_t size) {
    const auto* bytes = static_cast<const std::byte*>(begin);
    return std::all_of(bytes, bytes + size, [](std::byte b) { return b == std::byte{}; });
}

class ObjectHeapTest : public testing::Test {
protected:
    ObjectHeapTest() : heap(std::make_unique<ObjectHeap>()) {
        heap->init(arena.pages(), 0x1234'5678'9abc'def1);
    }
    ~ObjectHeapTest() override { play_cpu(0); }

    void expect_exact(uint64_t objects, uint64_t charged) {
        const HeapLedger ledger = heap->ledger();
        ASSERT_EQ(ledger.allocated, objects);
        ASSERT_EQ(ledger.charged_bytes, charged);
        ASSERT_EQ(ledger.slots, ledger.allocated + ledger.cached + ledger.free);
        ASSERT_EQ(ledger.pages, arena.pages().ledger().allocated);
    }

    PageArena arena{PageArena::one_range(2048)};
    std::unique_ptr<ObjectHeap> heap;
};

TEST_F(ObjectHeapTest, ChargesTheClass) {
    const std::set<size_t> classes = {32,  64,   96,   128,  192,  256,   384,   512,
                                      768, 1024, 2048, 4096, 8192, 16384, 32768, 65536};
    for (size_t size = 1; size <= ObjectHeap::max_size; ++size) {
        ASSERT_EQ(ObjectHeap::charged_size(size), *classes.lower_bound(size)) << size;
    }
    // max_slab_size, and max_slab_size + 1: a page of its own.
    EXPECT_EQ(ObjectHeap::charged_size(2048), 2048u);
    EXPECT_EQ(ObjectHeap::charged_size(2049), 4096u);
    EXPECT_EQ(ObjectHeap::charged_size(0), 0u);
    EXPECT_EQ(ObjectHeap::charged_size(ObjectHeap::max_size + 1), 0u);
    EXPECT_EQ(ObjectHeap::charged_size(~size_t{0}), 0u);
    EXPECT_EQ(ObjectHeap::alignment_of(1), 32u);
    EXPECT_EQ(ObjectHeap::alignment_of(96), 32u);
    EXPECT_EQ(ObjectHeap::alignment_of(130), 64u);
    EXPECT_EQ(ObjectHeap::alignment_of(700), 256u);
    EXPECT_EQ(ObjectHeap::alignment_of(5000), 8192u);
}

TEST_F(ObjectHeapTest, RefusesImpossibleSizes) {
    EXPECT_EQ(heap->allocate(0).error(), Error::bad_argument);
    EXPECT_EQ(heap->allocate(ObjectHeap::max_size + 1).error(), Error::limit);
    EXPECT_EQ(heap->allocate(~size_t{0}).error(), Error::limit);
    expect_exact(0, 0);
}

TEST_F(ObjectHeapTest, MemoryIsZeroAlignedAndDisjoint) {
    std::vector<Block> blocks;
    uint64_t charged = 0;
    for (int round = 0; round < 3; ++round) {
        for (size_t size :
             {1, 32, 33, 96, 100, 200, 384, 500, 768, 1000, 2048, 2049, 4096, 65536}) {
            auto pointer = heap->allocate(size);
            ASSERT_TRUE(pointer.ok()) << size;
            EXPECT_TRUE(all_zero(*pointer, size));
            EXPECT_EQ(reinterpret_cast<uintptr_t>(*pointer) % 4096 %
                          std::min<size_t>(ObjectHeap::alignment_of(size), 4096),
                      0u);
            memset(*pointer, 0xff, size);
            blocks.push_back({*pointer, size});
            charged += ObjectHeap::charged_size(size);
            expect_exact(blocks.size(), charged);
        }
    }
    std::sort(blocks.begin(), blocks.end(),
              [](const Block& a, const Block& b) { return a.pointer < b.pointer; });
    for (size_t i = 1; i < blocks.size(); ++i) {
        EXPECT_LE(static_cast<std::byte*>(blocks[i - 1].pointer) + blocks[i - 1].size,
                  blocks[i].pointer);
    }
    for (const Block& block : blocks) heap->free(block.pointer, block.size);
    expect_exact(0, 0);
    heap->flush_caches();
    EXPECT_EQ(heap->ledger().pages, 0u);
    EXPECT_EQ(arena.pages().ledger().allocated, 0u);
}

TEST_F(ObjectHeapTest, EmptySlabsGoBack) {
    std::vector<void*> objects;
    for (int i = 0; i < 3000; ++i) objects.push_back(*heap->allocate(128));
    EXPECT_GE(heap->ledger().pages, 3000u / 32);
    std::shuffle(objects.begin(), objects.end(), std::mt19937(3));
    for (void* object : objects) heap->free(object, 128);
    EXPECT_LE(heap->ledger().pages, 32u);  // at most a magazine's objects hold slabs
    heap->flush_caches();
    EXPECT_EQ(arena.pages().ledger().allocated, 0u);
}

TEST_F(ObjectHeapTest, HolesInSlabsAreFilled) {
    std::vector<void*> objects;
    for (int i = 0; i < 32 * 64; ++i) objects.push_back(*heap->allocate(128));
    const uint64_t pages = heap->ledger().pages;
    for (size_t i = 0; i < objects.size(); i += 4) heap->free(objects[i], 128);
    heap->flush_caches();
    EXPECT_EQ(heap->ledger().pages, pages);
    for (size_t i = 0; i < objects.size(); i += 4) objects[i] = *heap->allocate(128);
    EXPECT_EQ(heap->ledger().pages, pages);
    for (void* object : objects) heap->free(object, 128);
    heap->flush_caches();
    EXPECT_EQ(heap->ledger().pages, 0u);
}

TEST_F(ObjectHeapTest, ExhaustionIsAnErrorAndUsesEverything) {
    // Leave objects of this class in another CPU's magazine.
    play_cpu(1);
    std::vector<void*> warm;
    for (int i = 0; i < 32; ++i) warm.push_back(*heap->allocate(256));
    for (void* object : warm) heap->free(object, 256);
    play_cpu(0);
    std::vector<void*> objects;
    while (true) {
        auto object = heap->allocate(256);
        if (!object.ok()) {
            EXPECT_EQ(object.error(), Error::no_memory);
            break;
        }
        objects.push_back(*object);
    }
    EXPECT_EQ(objects.size(), arena.pages().total_pages() * 16);
    expect_exact(objects.size(), objects.size() * 256);
    EXPECT_EQ(heap->allocate(32).error(), Error::no_memory);
    EXPECT_EQ(heap->allocate(4096).error(), Error::no_memory);
    EXPECT_EQ(heap->allocate(8192).error(), Error::no_memory);
    for (void* object : objects) heap->free(object, 256);
    // The magazine's slabs do not keep others from having the memory.
    EXPECT_TRUE(heap->allocate(65536).ok());
}

TEST_F(ObjectHeapTest, RandomOperationsKeepTheLedgerExact) {
    std::mt19937 random(11);
    std::vector<Block> blocks;
    uint64_t charged = 0;
    for (int step = 0; step < 150'000; ++step) {
        play_cpu(random() % 3);
        const uint32_t choice = random() % 1000;
        if (choice < 505) {
            const size_t size = 1 + random() % (choice < 20 ? 65536 : choice < 100 ? 4096 : 600);
            auto pointer = heap->allocate(size);
            if (!pointer.ok()) continue;
            ASSERT_TRUE(all_zero(*pointer, size));
            memset(*pointer, static_cast<int>(size & 0xff), size);
            blocks.push_back({*pointer, size});
            charged += ObjectHeap::charged_size(size);
        } else if (choice < 999 && !blocks.empty()) {
            std::swap(blocks[random() % blocks.size()], blocks.back());
            const Block block = blocks.back();
            blocks.pop_back();
            const auto* bytes = static_cast<const uint8_t*>(block.pointer);
            ASSERT_TRUE(std::all_of(bytes, bytes + block.size,
                                    [&](uint8_t b) { return b == (block.size & 0xff); }));
            heap->free(block.pointer, block.size);
            charged -= ObjectHeap::charged_size(block.size);
        } else {
            heap->flush_caches();
        }
        if (step % 8 == 0) expect_exact(blocks.size(), charged);
    }
    for (const Block& block : blocks) heap->free(block.pointer, block.size);
    heap->flush_caches();
    arena.pages().flush_caches();
    expect_exact(0, 0);
    EXPECT_EQ(arena.pages().ledger().free, arena.pages().total_pages());
}

using ObjectHeapDeathTest = ObjectHeapTest;

TEST_F(ObjectHeapDeathTest, CallersBugsAreFound) {
    void* object = *heap->allocate(64);
    void* block = *heap->allocate(8192);
    void* other = *heap->allocate(64);
    EXPECT_DEATH(heap->free(object, 0), "impossible size");
    EXPECT_DEATH(heap->free(object, ObjectHeap::max_size + 1), "impossible size");
    EXPECT_DEATH(heap->free(object, 65), "another size");
    EXPECT_DEATH(heap->free(block, 4096), "not an allocated object");
    EXPECT_DEATH(heap->free(block, 64), "not an allocated object");
    EXPECT_DEATH(heap->free(static_cast<std::byte*>(block) + 4096, 8192), "not an allocated");
    EXPECT_DEATH(heap->free(static_cast<std::byte*>(object) + 8, 64), "middle of an object");
    EXPECT_DEATH(heap->free(nullptr, 64), "outside");
    int foreign = 0;
    EXPECT_DEATH(heap->free(&foreign, 64), "outside");
    void* page = arena.pages().pointer(*arena.pages().allocate(0));
    EXPECT_DEATH(heap->free(page, 64), "not the heap's");
    EXPECT_DEATH(
        {
            heap->free(other, 64);
            heap->free(other, 64);
        },
        "twice");
    EXPECT_DEATH(
        {
            heap->free(block, 8192);
            heap->free(block, 8192);
        },
        "not an allocated object");
    EXPECT_DEATH(
        {
            heap->free(other, 64);
            memset(other, 0x41, 64);
            (void)heap->allocate(64);
        },
        "written to");
}

TEST_F(ObjectHeapDeathTest, DebugBuildsCheckEveryByte) {
    if (!debug_checks) GTEST_SKIP() << "checked in debug builds only";
    auto* object = static_cast<uint8_t*>(*heap->allocate(100));
    auto* block = static_cast<uint8_t*>(*heap->allocate(5000));
    EXPECT_DEATH(
        {
            object[100] = 0;
            heap->free(object, 100);
        },
        "behind its end");
    EXPECT_DEATH(heap->free(object, 99), "behind its end");
    EXPECT_DEATH(
        {
            block[8191] = 0;
            heap->free(block, 5000);
        },
        "behind its end");
    EXPECT_DEATH(
        {
            heap->free(object, 100);
            object[127] = 0;
            (void)heap->allocate(100);
        },
        "free object was written to");
}

}  // namespace
}  // namespace annulus::kernel
