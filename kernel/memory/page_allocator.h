// SPDX-License-Identifier: MIT
// PageAllocator: hands out physical pages, alone or in contiguous blocks of 2^order.
//
//   CPU 0 cache    CPU 1 cache   ...     single pages, at most 32 each; a lock of their own
//        \             /
//   zeroed pool    buddy system          blocks of 2^0 .. 2^18 pages; one lock
//
// A block of order n begins at a multiple of 2^n pages. Two free halves of a block are merged at
// once, unless they lie in a cache or the pool; when memory runs short these are emptied first.
//
// Invariants: total = free + zeroed + cached + allocated, in every ledger() and not only when
// nothing goes on. A page in a cache is never in two places, as moves to and from the buddy
// system happen under both locks.
// Locking: page_cache before page_allocator; callers hold no lock of these ranks or above.
// Context: kernel mode with interrupts off. Never waits but for the locks.
#pragma once

#include "base/bitmap.h"
#include "base/result.h"
#include "kernel/boot_info.h"
#include "kernel/cpu_index.h"
#include "kernel/lock/spin_lock.h"
#include "kernel/memory/page.h"

#include <stddef.h>
#include <stdint.h>

#include <atomic>
#include <cstddef>
#include <span>

namespace annulus::kernel {

// Where every page is. All counts are of pages.
struct PageLedger {
    uint64_t total;      // everything the allocator was given, without the frame table
    uint64_t free;       // in the buddy system
    uint64_t zeroed;     // in the zeroed pool
    uint64_t cached;     // in the CPUs' caches, or being zeroed for the pool
    uint64_t allocated;  // handed out

    constexpr uint64_t available() const { return free + zeroed + cached; }
};

class PageAllocator {
public:
    static constexpr uint32_t max_order = 18;       // 1 GiB
    static constexpr uint32_t cache_capacity = 32;  // single pages a CPU keeps
    static constexpr uint32_t cache_batch = 16;     // pages that move at a time
    static constexpr uint32_t zeroed_pool_max = 2048;

    constexpr PageAllocator() = default;
    PageAllocator(const PageAllocator&) = delete;
    PageAllocator& operator=(const PageAllocator&) = delete;

    // The part of the given ranges in which the frame table is best placed: the end of the highest
    // range that can hold it. The ranges are as for init. no_memory: none can.
    static Result<PhysicalRange> choose_frame_table(std::span<const PhysicalRange> ranges);

    // Called once, before anything else. Takes over the ranges (page aligned, sorted, disjoint),
    // except the frame table's, which lies inside one of them. Address 0 is seen at `direct_map`,
    // and all ranges are mapped there. out_of_range, overlap, bad_argument: the ranges are not as
    // said, or end above 16 TiB; no_room: the frame table is too small for them.
    Result<void> init(std::span<const PhysicalRange> ranges, PhysicalRange frame_table,
                      std::byte* direct_map);

    // 2^order pages, contiguous and aligned to their size, with any content. no_memory: there is
    // no such block; limit: order > max_order.
    Result<PhysicalPage> allocate(uint32_t order, PageUse use = PageUse::kernel);

    // One page full of zeros: from the pool, or zeroed on the spot. no_memory as above.
    Result<PhysicalPage> allocate_zeroed(PageUse use = PageUse::kernel);

    // Gives back a whole block, by its first page and its order; its references and pins are 0.
    // Anything else (freed before, another order, not from here) is a bug and stops the kernel.
    void free(PhysicalPage page, uint32_t order);

    // Any number of contiguous pages, aligned to the next power of two: what a block of that size
    // has beyond them is free again. They go back by free_run() alone. Errors as for allocate.
    Result<PhysicalPage> allocate_run(uint64_t pages, PageUse use = PageUse::kernel);
    void free_run(PhysicalPage page, uint64_t pages);

    // Adds at most `limit` pages to the zeroed pool and returns how many; 0 when the pool is full
    // or memory is short. For idle CPUs (idle_loop()), with interrupts off and without locks, as
    // allocate() may wait for it; no lock is held while a page is zeroed.
    uint32_t zero_some(uint32_t limit);

    // Moves everything from the caches and the pool to the buddy system.
    void flush_caches();

    PageLedger ledger();
    uint64_t free_pages() { return ledger().available(); }
    uint64_t total_pages() const { return total_; }

    // The frame table's entry; the page is below the end of the highest range.
    PageFrame& frame(PhysicalPage page) {
        kernel_assert(page.frame < frame_count_, "a page that the allocator does not know");
        return frames_[page.frame];
    }
    // The same for a page that page_of() answered.
    const PageFrame& known_frame(PhysicalPage page) const { return frames_[page.frame]; }
    // That of the page that holds a byte of the direct map.
    PageFrame& frame_at(const void* pointer) { return frames_[page_of(pointer).frame]; }
    // The page's bytes, through the direct map.
    std::byte* pointer(PhysicalPage page) const { return direct_map_ + page.address(); }
    // The page that holds a byte of the direct map.
    PhysicalPage page_of(const void* pointer) const {
        // Safety: only the number is used; it is checked against the table before any access.
        const uint64_t offset =
            reinterpret_cast<uintptr_t>(pointer) - reinterpret_cast<uintptr_t>(direct_map_);
        kernel_assert(offset >> page_shift < frame_count_,
                      "a pointer outside the direct map's RAM");
        return {static_cast<uint32_t>(offset >> page_shift)};
    }

    // The smallest order whose blocks hold `pages` pages; above max_order if there is none.
    static constexpr uint32_t order_for(uint64_t pages);

private:
    // Aligned so that no two CPUs' caches share a cache line.
    struct alignas(64) CpuCache {
        SpinLock lock{LockRank::page_cache};
        uint32_t count GUARDED_BY(lock) = 0;
        uint32_t zeroed_count GUARDED_BY(lock) = 0;
        // Pages in this cache (low half) and pages handed out less pages taken back through it
        // (high half, modulo 2^32), in one word, so that ledger() sees a page move between the two
        // as one step. Written under `lock`; the sum changes only under the allocator's lock too.
        std::atomic<uint64_t> balance{0};
        uint32_t pages[cache_capacity] GUARDED_BY(lock) = {};
        uint32_t zeroed[cache_batch] GUARDED_BY(lock) = {};
    };

    void set_tag(uint32_t frame, FrameTag tag);
    FrameTag tag_of(uint32_t frame) const;
    void claim_for_free(uint32_t frame, uint32_t order);
    PhysicalPage hand_out(uint32_t frame, uint32_t order, PageUse use);
    void add_range(PhysicalRange range);

    void push_block(uint32_t frame, uint32_t order) REQUIRES(lock_);
    void remove_block(uint32_t frame, uint32_t order) REQUIRES(lock_);
    uint32_t take_block(uint32_t order) REQUIRES(lock_);
    void give_block(uint32_t frame, uint32_t order) REQUIRES(lock_);
    uint32_t pop_zeroed() REQUIRES(lock_);

    Result<PhysicalPage> allocate_block(uint32_t order, PageUse use) EXCLUDES(lock_);
    uint32_t take_from_cache(CpuCache& cache) REQUIRES(cache.lock) EXCLUDES(lock_);
    uint32_t take_zeroed_from_cache(CpuCache& cache) REQUIRES(cache.lock) EXCLUDES(lock_);
    void refill(CpuCache& cache) REQUIRES(cache.lock) EXCLUDES(lock_);
    void refill_zeroed(CpuCache& cache) REQUIRES(cache.lock) EXCLUDES(lock_);
    void drain(CpuCache& cache, uint32_t keep) REQUIRES(cache.lock) EXCLUDES(lock_);

    // Set by init and constant afterwards.
    PageFrame* frames_ = nullptr;
    std::byte* direct_map_ = nullptr;
    uint32_t frame_count_ = 0;
    uint32_t zeroed_target_ = 0;
    uint64_t total_ = 0;

    SpinLock lock_{LockRank::page_allocator};
    PriorityBitmap orders_ GUARDED_BY(lock_);  // orders that have free blocks
    uint32_t first_[max_order + 1] GUARDED_BY(lock_) = {};
    uint32_t first_zeroed_ GUARDED_BY(lock_) = no_frame;
    uint32_t being_zeroed_ GUARDED_BY(lock_) = 0;
    uint64_t free_ GUARDED_BY(lock_) = 0;
    uint64_t allocated_directly_ GUARDED_BY(lock_) = 0;  // not through a cache
    // Written under lock_; others may look whether there is any.
    std::atomic<uint32_t> zeroed_{0};

    CpuCache caches_[max_cpus];
};

constexpr uint32_t PageAllocator::order_for(uint64_t pages) {
    uint32_t order = 0;
    while (order <= max_order && uint64_t{1} << order < pages) ++order;
    return order;
}

}  // namespace annulus::kernel
