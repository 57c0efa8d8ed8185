// SPDX-License-Identifier: MIT
// The heap over pages of the host: contents survive, blocks do not overlap, misuse is noticed.

#include "runtime/heap.h"

#include <gtest/gtest.h>

#include <sys/mman.h>

#include <cstring>
#include <map>
#include <random>
#include <vector>

namespace annulus {
namespace {

class HostPages final : public HeapPages {
public:
    void* map(size_t bytes) override {
        if (bytes > room) return nullptr;
        void* begin =
            mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (begin == MAP_FAILED) return nullptr;
        room -= bytes;
        mapped[begin] = bytes;
        return begin;
    }
    void unmap(void* begin, size_t bytes) override {
        ASSERT_EQ(mapped[begin], bytes);
        mapped.erase(begin);
        room += bytes;
        munmap(begin, bytes);
    }
    void corrupted(const char* what) override {
        fprintf(stderr, "%s\n", what);
        abort();
    }
    ~HostPages() {
        for (const auto& [begin, bytes] : mapped) munmap(begin, bytes);
    }

    size_t room = size_t{1} << 32;
    std::map<void*, size_t> mapped;
};

class HeapTest : public testing::Test {
protected:
    void SetUp() override { heap.begin(pages, 0x1234567890abcdef); }
    HostPages pages;
    Heap heap;
};

TEST_F(HeapTest, EverySizeUpToTheBigOnesIsUsableToItsLastByte) {
    for (size_t size = 0; size <= Heap::small_max + 100; size += size < 600 ? 1 : 97) {
        void* block = heap.allocate(size);
        ASSERT_NE(block, nullptr) << size;
        ASSERT_EQ(reinterpret_cast<uintptr_t>(block) % 16, 0u);
        memset(block, 0xa5, size);
        void* next = heap.allocate(size);
        memset(next, 0x5a, size);
        heap.release(block);
        heap.release(next);
    }
    EXPECT_EQ(heap.used(), 0u);
}

TEST_F(HeapTest, AFreedBlockIsGivenOutAgain) {
    void* block = heap.allocate(100);
    heap.release(block);
    EXPECT_EQ(heap.allocate(100), block);
    EXPECT_EQ(heap.allocate(97, 16) == block, false);
}

TEST_F(HeapTest, BigBlocksGoBackToTheSource) {
    const size_t before = pages.mapped.size();
    void* block = heap.allocate(1 << 20);
    EXPECT_EQ(pages.mapped.size(), before + 1);
    memset(block, 1, 1 << 20);
    heap.release(block);
    EXPECT_EQ(pages.mapped.size(), before);
    EXPECT_EQ(heap.mapped(), 0u);
}

TEST_F(HeapTest, AlignedBlocksAreAlignedAndComeBack) {
    std::vector<void*> blocks;
    for (size_t alignment = 16; alignment <= Heap::alignment_max; alignment *= 2) {
        for (size_t size : {1, 40, 5000}) {
            void* block = heap.allocate(size, alignment);
            ASSERT_NE(block, nullptr);
            ASSERT_EQ(reinterpret_cast<uintptr_t>(block) % alignment, 0u);
            memset(block, 0xee, size);
            blocks.push_back(block);
        }
    }
    EXPECT_EQ(heap.allocate(1, 2 * Heap::alignment_max), nullptr);
    EXPECT_EQ(heap.allocate(1, 48), nullptr);
    for (void* block : blocks) heap.release(block);
    EXPECT_EQ(heap.used(), 0u);
}

TEST_F(HeapTest, RefusesWhenTheSourceIsEmptyAndGoesOn) {
    void* first = heap.allocate(10);
    pages.room = 0;
    EXPECT_EQ(heap.allocate(Heap::small_max + 1), nullptr);
    EXPECT_EQ(heap.allocate(SIZE_MAX), nullptr);
    EXPECT_EQ(heap.allocate(SIZE_MAX - 8, 4096), nullptr);
    size_t blocks = 0;
    while (heap.allocate(Heap::small_max) != nullptr) ++blocks;
    EXPECT_LE(blocks, 2u);
    heap.release(first);
    EXPECT_EQ(heap.allocate(10), first);
}

// Blocks of a random mix of sizes and alignments keep their contents.
TEST_F(HeapTest, RandomBlocksKeepTheirContents) {
    std::mt19937_64 random(7);
    struct Block {
        unsigned char* bytes;
        size_t size;
        unsigned char value;
    };
    std::vector<Block> blocks;
    for (int step = 0; step < 40'000; ++step) {
        if (blocks.size() < 300 && random() % 2 == 0) {
            const size_t size = random() % (random() % 50 == 0 ? 100'000 : 700);
            const size_t alignment = random() % 10 == 0 ? size_t{16} << random() % 6 : 16;
            auto* bytes = static_cast<unsigned char*>(heap.allocate(size, alignment));
            ASSERT_NE(bytes, nullptr);
            const auto value = static_cast<unsigned char>(random());
            memset(bytes, value, size);
            blocks.push_back({bytes, size, value});
        } else if (!blocks.empty()) {
            std::swap(blocks[random() % blocks.size()], blocks.back());
            const Block block = blocks.back();
            blocks.pop_back();
            for (size_t i = 0; i < block.size; ++i) ASSERT_EQ(block.bytes[i], block.value);
            heap.release(block.bytes);
        }
    }
    for (const Block& block : blocks) heap.release(block.bytes);
    EXPECT_EQ(heap.used(), 0u);
    // 300 live blocks of mostly under 700 bytes; what stays mapped is bounded by what was live.
    EXPECT_LT(heap.mapped(), 40u << 20);
}

using HeapDeathTest = HeapTest;

TEST_F(HeapDeathTest, NoticesADoubleRelease) {
    void* block = heap.allocate(50);
    heap.release(block);
    EXPECT_DEATH(heap.release(block), "released twice");
}

TEST_F(HeapDeathTest, NoticesForeignPointersAndOverwrittenHeaders) {
    auto* block = static_cast<char*>(heap.allocate(512));
    memset(block, 0, 512);
    EXPECT_DEATH(heap.release(block + 1), "no block");
    EXPECT_DEATH(heap.release(block + 64), "no block");
    block[-16] = static_cast<char>(block[-16] + 1);
    EXPECT_DEATH(heap.release(block), "header was overwritten");
}

TEST_F(HeapDeathTest, NoticesWritesAfterTheRelease) {
    auto* block = static_cast<uint64_t*>(heap.allocate(64));
    heap.release(block);
    block[0] = 0x4141414141414141;
    EXPECT_DEATH(heap.allocate(64), "free block was written to");
}

TEST_F(HeapDeathTest, NoticesAnOverflowIntoTheNextHeader) {
    auto* block = static_cast<char*>(heap.allocate(64));
    void* next = heap.allocate(64);
    memset(block, 0, 72);
    EXPECT_DEATH(heap.release(next), "header was overwritten");
}

}  // namespace
}  // namespace annulus
