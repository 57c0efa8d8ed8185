// SPDX-License-Identifier: MIT
// The heap's blocks: size classes from runs of pages, and big blocks with pages of their own.
//
// Every block has a 16-byte header: a seal and the size class. The seal mixes the block's address,
// its class, its state and a secret, and is checked when a block is freed and when it is given out
// again: a double free, a foreign pointer and an overwritten header end the program instead of
// going on. The seal does not notice an overflow until the neighbour's turn comes.
//
//   small: 4 classes per doubling, 16 bytes .. 32 KiB of content; freed blocks stay in their class
//   big:   pages from the source, given back when freed
//
// Pure: pages come from a HeapPages. Not thread-safe; new.cpp holds a lock around it.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace annulus {

// Where a heap gets pages. Sizes are multiples of the page size.
class HeapPages {
public:
    // Zeroed memory at a page boundary, or null.
    virtual void* map(size_t bytes) = 0;
    virtual void unmap(void* begin, size_t bytes) = 0;
    // A block's seal is broken. Does not return.
    [[noreturn]] virtual void corrupted(const char* what) = 0;

protected:
    ~HeapPages() = default;
};

class Heap {
public:
    // The most content of a small block.
    static constexpr size_t small_max = 32 * 1024;
    static constexpr size_t alignment_max = 1024 * 1024;

    constexpr Heap() = default;
    Heap(const Heap&) = delete;
    Heap& operator=(const Heap&) = delete;

    // Must come first. `secret` makes seals unguessable; any number will do.
    void begin(HeapPages& pages, uint64_t secret);
    bool begun() const { return pages_ != nullptr; }

    // `size` bytes at a multiple of `alignment` (a power of two, at most alignment_max), not
    // zeroed, or null. Size 0 gives a block of its own, too.
    void* allocate(size_t size, size_t alignment = 16);

    // Frees a block from allocate; null is ignored.
    void release(void* block);

    // Bytes of live blocks, with their headers; bytes that the source gave and did not get back.
    size_t used() const { return used_; }
    size_t mapped() const { return mapped_; }

    struct Header;

private:
    static constexpr unsigned class_count = 40;
    struct FreeBlock;

    static unsigned class_of(size_t content);
    static size_t content_of(unsigned size_class);

    void* allocate_small(unsigned size_class);
    void* allocate_shifted(size_t size, size_t alignment);
    void* allocate_big(size_t size);
    bool add_run();
    void keep_rest();
    void put_free(Header* header, unsigned size_class);
    Header* take_free(unsigned size_class);
    void release_big(Header* header);
    uint64_t seal(const Header* header, uint64_t state) const;
    uint64_t seal_of_link(const FreeBlock* block) const;

    HeapPages* pages_ = nullptr;
    uint64_t secret_ = 0;
    FreeBlock* free_[class_count] = {};
    uintptr_t run_at_ = 0;  // the part of the newest run that was not carved yet
    uintptr_t run_end_ = 0;
    size_t used_ = 0;
    size_t mapped_ = 0;
};

}  // namespace annulus
