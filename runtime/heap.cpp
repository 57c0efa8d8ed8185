// SPDX-License-Identifier: MIT
// The heap. Addresses are computed and turned into headers here and nowhere else.
//
// Safety, for every reinterpret_cast below: the address lies in pages that the source gave to this
// heap, at a multiple of 16, and a header was written there before or is written next.

#include "runtime/heap.h"

#include "abi/limits.h"
#include "base/align.h"

#include <bit>

namespace annulus {

// In front of every block's content.
struct Heap::Header {
    uint64_t seal;
    uint64_t information;  // small: class; big: bytes mapped; shifted: distance to the real content
};

// The content of a free block.
struct Heap::FreeBlock {
    FreeBlock* next;
    uint64_t seal;  // of `next`: a write after the release shows
};

namespace {

constexpr size_t header_size = 16;
constexpr size_t run_size = 64 * 1024;  // two of the largest blocks, or thousands of small ones
constexpr size_t big_offset = 64;       // of a big block's content in its pages: one cache line

// States in seals; arbitrary, far apart.
constexpr uint64_t live = 0x4c49564542414243;
constexpr uint64_t idle = 0x49444c4543424142;
constexpr uint64_t big = 0x4249474248454150;
constexpr uint64_t shifted = 0x5348494654454421;

Heap::Header* header_before(uintptr_t content) {
    return reinterpret_cast<Heap::Header*>(content - header_size);
}

uintptr_t content_after(const Heap::Header* header) {
    return reinterpret_cast<uintptr_t>(header) + header_size;
}

}  // namespace

void Heap::begin(HeapPages& pages, uint64_t secret) {
    pages_ = &pages;
    secret_ = secret;
}

// Contents: 16, 32 .. 128, then 160, 192, 224, 256, 320 .. 32768.
unsigned Heap::class_of(size_t content) {
    if (content <= 128) return content <= 16 ? 0 : static_cast<unsigned>((content + 15) / 16 - 1);
    const size_t last = content - 1;
    const unsigned octave = static_cast<unsigned>(std::bit_width(last)) - 8;  // 0 from 129 up
    return 8 + octave * 4 + static_cast<unsigned>(last >> (octave + 5) & 3);
}

size_t Heap::content_of(unsigned size_class) {
    if (size_class < 8) return 16 * (size_class + 1);
    const size_t base = size_t{128} << (size_class - 8) / 4;
    return base + base / 4 * ((size_class - 8) % 4 + 1);
}

uint64_t Heap::seal(const Header* header, uint64_t state) const {
    const uint64_t mixed = (reinterpret_cast<uintptr_t>(header) ^ secret_) * 0x9e3779b97f4a7c15;
    return std::rotl(mixed, 29) ^ header->information * 0xc2b2ae3d27d4eb4f ^ state;
}

uint64_t Heap::seal_of_link(const FreeBlock* block) const {
    const auto next = reinterpret_cast<uintptr_t>(block->next);
    return std::rotl((next ^ secret_) * 0x9e3779b97f4a7c15, 17) ^ idle;
}

void* Heap::allocate(size_t size, size_t alignment) {
    if (alignment > 16) return allocate_shifted(size, alignment);
    return size <= small_max ? allocate_small(class_of(size)) : allocate_big(size);
}

void* Heap::allocate_small(unsigned size_class) {
    Header* header = take_free(size_class);
    const size_t bytes = header_size + content_of(size_class);
    if (header == nullptr) {
        if (run_end_ - run_at_ < bytes && !add_run()) return nullptr;
        header = reinterpret_cast<Header*>(run_at_);
        run_at_ += bytes;
        header->information = size_class;
    }
    header->seal = seal(header, live);
    used_ += bytes;
    return reinterpret_cast<void*>(content_after(header));
}

Heap::Header* Heap::take_free(unsigned size_class) {
    FreeBlock* block = free_[size_class];
    if (block == nullptr) return nullptr;
    Header* header = header_before(reinterpret_cast<uintptr_t>(block));
    if (header->seal != seal(header, idle) || header->information != size_class ||
        block->seal != seal_of_link(block)) {
        pages_->corrupted("heap: a free block was written to");
    }
    free_[size_class] = block->next;
    return header;
}

void Heap::put_free(Header* header, unsigned size_class) {
    header->information = size_class;
    header->seal = seal(header, idle);
    auto* block = reinterpret_cast<FreeBlock*>(content_after(header));
    block->next = free_[size_class];
    block->seal = seal_of_link(block);
    free_[size_class] = block;
}

bool Heap::add_run() {
    void* run = pages_->map(run_size);
    if (run == nullptr) return false;
    keep_rest();
    run_at_ = reinterpret_cast<uintptr_t>(run);
    run_end_ = run_at_ + run_size;
    mapped_ += run_size;
    return true;
}

// Makes free blocks, as large as possible, of what is left of a run.
void Heap::keep_rest() {
    while (run_end_ - run_at_ >= header_size + content_of(0)) {
        const size_t content = run_end_ - run_at_ - header_size;
        unsigned size_class = content >= small_max ? class_count - 1 : class_of(content);
        if (content_of(size_class) > content) --size_class;
        put_free(reinterpret_cast<Header*>(run_at_), size_class);
        run_at_ += header_size + content_of(size_class);
    }
}

void* Heap::allocate_big(size_t size) {
    if (size > SIZE_MAX - big_offset - abi::page_size) return nullptr;
    const size_t bytes = align_up(size + big_offset, abi::page_size);
    void* pages = pages_->map(bytes);
    if (pages == nullptr) return nullptr;
    const uintptr_t content = reinterpret_cast<uintptr_t>(pages) + big_offset;
    Header* header = header_before(content);
    header->information = bytes;
    header->seal = seal(header, big);
    mapped_ += bytes;
    used_ += bytes;
    return reinterpret_cast<void*>(content);
}

// A larger block, with a second header right before the aligned content.
void* Heap::allocate_shifted(size_t size, size_t alignment) {
    if (!is_power_of_two(alignment) || alignment > alignment_max) return nullptr;
    if (size > SIZE_MAX - alignment) return nullptr;
    void* block = allocate(size + alignment);
    if (block == nullptr) return nullptr;
    const auto real = reinterpret_cast<uintptr_t>(block);
    const uintptr_t content = align_down(real + alignment, alignment);
    Header* header = header_before(content);
    header->information = content - real;
    header->seal = seal(header, shifted);
    return reinterpret_cast<void*>(content);
}

void Heap::release(void* block) {
    if (block == nullptr) return;
    const auto content = reinterpret_cast<uintptr_t>(block);
    if (content % 16 != 0) pages_->corrupted("heap: released what is no block");
    Header* header = header_before(content);
    if (header->seal == seal(header, live)) {
        const auto size_class = static_cast<unsigned>(header->information);
        used_ -= header_size + content_of(size_class);
        put_free(header, size_class);
    } else if (header->seal == seal(header, big)) {
        release_big(header);
    } else if (header->seal == seal(header, shifted)) {
        header->seal = 0;
        release(reinterpret_cast<void*>(content - header->information));
    } else if (header->seal == seal(header, idle)) {
        pages_->corrupted("heap: a block was released twice");
    } else {
        pages_->corrupted("heap: released what is no block, or its header was overwritten");
    }
}

void Heap::release_big(Header* header) {
    const size_t bytes = header->information;
    header->seal = 0;
    mapped_ -= bytes;
    used_ -= bytes;
    pages_->unmap(reinterpret_cast<void*>(content_after(header) - big_offset), bytes);
}

}  // namespace annulus
