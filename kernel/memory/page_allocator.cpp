// SPDX-License-Identifier: MIT
// The buddy system, the zeroed pool and the per-CPU caches of physical pages.
#include "kernel/memory/page_allocator.h"

#include "base/align.h"
#include "kernel/assert.h"

#include <string.h>

#include <algorithm>
#include <bit>
#include <optional>

namespace annulus::kernel {
namespace {

// Steps of a CpuCache's balance (see there).
constexpr uint64_t one_cached = 1;
constexpr uint64_t one_allocated = uint64_t{1} << 32;

// Only holders of the cache's lock write the word, so load and store need not be one step.
void add_to_balance(std::atomic<uint64_t>& balance, uint64_t difference) {
    // Relaxed: ledger() needs each word's value, not an order between them.
    balance.store(balance.load(std::memory_order_relaxed) + difference, std::memory_order_relaxed);
}

uint32_t count_from(uint64_t end_address) {
    return static_cast<uint32_t>(end_address >> page_shift);
}

Result<void> check_ranges(std::span<const PhysicalRange> ranges) {
    if (ranges.empty()) return Error::bad_argument;
    uint64_t end = 0;
    for (const PhysicalRange& range : ranges) {
        if (range.empty() || !is_aligned(range.begin | range.end, page_size)) {
            return Error::bad_argument;
        }
        if (range.begin < end) return Error::overlap;
        end = range.end;
    }
    if (end > uint64_t{no_frame} << page_shift) return Error::out_of_range;
    return {};
}

uint64_t frame_table_bytes(std::span<const PhysicalRange> ranges) {
    return align_up(uint64_t{count_from(ranges.back().end)} * sizeof(PageFrame), page_size);
}

// For debug builds.
[[maybe_unused]] bool all_zero(const std::byte* bytes) {
    return std::all_of(bytes, bytes + page_size, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

Result<PhysicalRange> PageAllocator::choose_frame_table(std::span<const PhysicalRange> ranges) {
    TRY(check_ranges(ranges));
    const uint64_t bytes = frame_table_bytes(ranges);
    for (size_t i = ranges.size(); i-- > 0;) {
        if (ranges[i].size() >= bytes) return PhysicalRange{ranges[i].end - bytes, ranges[i].end};
    }
    return Error::no_memory;
}

Result<void> PageAllocator::init(std::span<const PhysicalRange> ranges, PhysicalRange frame_table,
                                 std::byte* direct_map) {
    TRY(check_ranges(ranges));
    if (frame_table.empty() || !is_aligned(frame_table.begin | frame_table.end, page_size)) {
        return Error::bad_argument;
    }
    if (frame_table.size() < frame_table_bytes(ranges)) return Error::no_room;
    if (std::none_of(ranges.begin(), ranges.end(),
                     [&](const PhysicalRange& range) { return range.contains(frame_table); })) {
        return Error::out_of_range;
    }
    direct_map_ = direct_map;
    frame_count_ = count_from(ranges.back().end);
    // Safety: the range is RAM that the caller gave away, mapped at direct_map, large enough for
    // the table and page aligned; all-zero bytes are valid frames in state `none`.
    frames_ = reinterpret_cast<PageFrame*>(direct_map + frame_table.begin);
    memset(static_cast<void*>(frames_), 0, uint64_t{frame_count_} * sizeof(PageFrame));
    {
        SpinGuard guard(lock_);
        for (uint32_t& first : first_) first = no_frame;
    }
    for (const PhysicalRange& range : ranges) {
        if (range.contains(frame_table)) {
            add_range({range.begin, frame_table.begin});
            add_range({frame_table.end, range.end});
        } else {
            add_range(range);
        }
    }
    zeroed_target_ = static_cast<uint32_t>(std::min<uint64_t>(zeroed_pool_max, total_ / 16));
    return {};
}

// Adds the range as the fewest aligned blocks.
void PageAllocator::add_range(PhysicalRange range) {
    SpinGuard guard(lock_);
    uint64_t frame = range.begin >> page_shift;
    const uint64_t end = range.end >> page_shift;
    total_ += end - frame;
    while (frame < end) {
        uint32_t order = std::min(max_order, floor_log2(end - frame));
        while (!is_aligned(frame, uint64_t{1} << order)) --order;
        give_block(static_cast<uint32_t>(frame), order);
        frame += uint64_t{1} << order;
    }
}

void PageAllocator::set_tag(uint32_t frame, FrameTag tag) {
    frames_[frame].tag.store(tag, std::memory_order_relaxed);
}

FrameTag PageAllocator::tag_of(uint32_t frame) const {
    return frames_[frame].tag.load(std::memory_order_relaxed);
}

// The buddy system. A block of order n and its buddy differ in bit n of the frame number.

void PageAllocator::push_block(uint32_t frame, uint32_t order) {
    set_tag(frame, {FrameState::free, order});
    frames_[frame].previous = no_frame;
    frames_[frame].next = first_[order];
    if (first_[order] != no_frame) frames_[first_[order]].previous = frame;
    first_[order] = frame;
    orders_.set(order);
}

void PageAllocator::remove_block(uint32_t frame, uint32_t order) {
    const uint32_t next = frames_[frame].next;
    const uint32_t previous = frames_[frame].previous;
    if (next != no_frame) frames_[next].previous = previous;
    if (previous != no_frame) {
        frames_[previous].next = next;
    } else {
        first_[order] = next;
        if (next == no_frame) orders_.clear(order);
    }
    set_tag(frame, {FrameState::none, 0});
}

// Returns the first frame of a block without a state, or no_frame.
uint32_t PageAllocator::take_block(uint32_t order) {
    uint32_t from = orders_.lowest_from(order);
    if (from == PriorityBitmap::size) return no_frame;
    const uint32_t frame = first_[from];
    remove_block(frame, from);
    while (from > order) {
        --from;
        push_block(frame + (uint32_t{1} << from), from);
    }
    free_ -= uint64_t{1} << order;
    return frame;
}

void PageAllocator::give_block(uint32_t frame, uint32_t order) {
    free_ += uint64_t{1} << order;
    for (; order < max_order; ++order) {
        const uint32_t buddy = frame ^ (uint32_t{1} << order);
        if (buddy >= frame_count_ || tag_of(buddy) != FrameTag(FrameState::free, order)) break;
        remove_block(buddy, order);
        set_tag(frame, {FrameState::none, 0});
        frame = std::min(frame, buddy);
    }
    push_block(frame, order);
}

// Marks an allocated block as nobody's, or stops at a caller's bug. One exchange decides between
// two CPUs that free the same page at once.
void PageAllocator::claim_for_free(uint32_t frame, uint32_t order) {
    kernel_assert(frame < frame_count_, "freed a page that the allocator does not know");
    PageFrame& entry = frames_[frame];
    const FrameTag tag = entry.tag.exchange(FrameTag{}, std::memory_order_relaxed);
    kernel_assert(tag.allocated(), "freed a page that is not allocated, or not a block's first");
    kernel_assert(tag.order() == order, "freed a block with another order than it has");
    kernel_assert(entry.references.load(std::memory_order_relaxed) == 0, "freed a shared page");
    kernel_assert(entry.pins.load(std::memory_order_relaxed) == 0, "freed a pinned page");
}

PhysicalPage PageAllocator::hand_out(uint32_t frame, uint32_t order, PageUse use) {
    const FrameState state = use == PageUse::kernel ? FrameState::kernel : FrameState::user;
    frames_[frame].next = no_frame;
    frames_[frame].previous = no_frame;
    frames_[frame].owner_small = 0;
    frames_[frame].owner_word = 0;
    frames_[frame].owner = 0;
    set_tag(frame, {state, order});
    return {frame};
}

Result<PhysicalPage> PageAllocator::allocate(uint32_t order, PageUse use) {
    if (order > max_order) return Error::limit;
    if (order > 0) return allocate_block(order, use);
    CpuCache& cache = caches_[cpu_index()];
    {
        SpinGuard guard(cache.lock);
        const uint32_t frame = take_from_cache(cache);
        if (frame != no_frame) return hand_out(frame, 0, use);
    }
    // Nothing is left but what other CPUs keep.
    return allocate_block(0, use);
}

Result<PhysicalPage> PageAllocator::allocate_block(uint32_t order, PageUse use) {
    for (bool flushed = false;;) {
        bool more_comes;
        {
            SpinGuard guard(lock_);
            uint32_t frame = take_block(order);
            if (frame == no_frame && order == 0) frame = pop_zeroed();
            if (frame != no_frame) {
                allocated_directly_ += uint64_t{1} << order;
                return hand_out(frame, order, use);
            }
            // A page that another CPU zeroes comes soon, since that CPU's interrupts are off and it
            // waits for lock_ only; and it begins no other one now.
            more_comes = order == 0 && being_zeroed_ > 0;
        }
        if (flushed && !more_comes) return Error::no_memory;
        flush_caches();
        flushed = true;
    }
}

Result<PhysicalPage> PageAllocator::allocate_zeroed(PageUse use) {
    CpuCache& cache = caches_[cpu_index()];
    {
        SpinGuard guard(cache.lock);
        const uint32_t frame = take_zeroed_from_cache(cache);
        if (frame != no_frame) {
            if constexpr (debug_checks) {
                kernel_assert(all_zero(pointer({frame})), "a free page was written to");
            }
            return hand_out(frame, 0, use);
        }
    }
    const PhysicalPage page = TRY(allocate(0, use));
    memset(pointer(page), 0, page_size);
    return page;
}

void PageAllocator::free(PhysicalPage page, uint32_t order) {
    claim_for_free(page.frame, order);
    if (order > 0) {
        SpinGuard guard(lock_);
        allocated_directly_ -= uint64_t{1} << order;
        give_block(page.frame, order);
        return;
    }
    CpuCache& cache = caches_[cpu_index()];
    SpinGuard guard(cache.lock);
    if (cache.count == cache_capacity) drain(cache, cache_capacity - cache_batch);
    set_tag(page.frame, {FrameState::cached, 0});
    cache.pages[cache.count++] = page.frame;
    add_to_balance(cache.balance, one_cached - one_allocated);
}

// A run is kept as blocks, the largest first: 7 pages are 4 + 2 + 1. Each lies at a multiple of its
// size, as the run lies at one of all of it.
Result<PhysicalPage> PageAllocator::allocate_run(uint64_t pages, PageUse use) {
    const uint32_t whole = order_for(pages);
    const PhysicalPage page = TRY(allocate(whole, use));
    if (pages == uint64_t{1} << whole) return page;
    const auto count = static_cast<uint32_t>(pages);
    for (uint32_t at = 0; at < count;) {
        const auto order = static_cast<uint32_t>(std::bit_width(count - at)) - 1;
        hand_out(page.frame + at, order, use);
        at += uint32_t{1} << order;
    }
    for (uint32_t at = count; at < uint32_t{1} << whole;) {
        const auto order = static_cast<uint32_t>(std::countr_zero(at));
        free(hand_out(page.frame + at, order, use), order);
        at += uint32_t{1} << order;
    }
    return page;
}

void PageAllocator::free_run(PhysicalPage page, uint64_t pages) {
    for (uint64_t left = pages; left > 0;) {
        const auto order = static_cast<uint32_t>(std::bit_width(left)) - 1;
        free(page, order);
        page.frame += uint32_t{1} << order;
        left -= uint64_t{1} << order;
    }
}

// The per-CPU caches.

// Returns a frame that counts as allocated already, or no_frame.
uint32_t PageAllocator::take_from_cache(CpuCache& cache) {
    if (cache.count == 0) refill(cache);
    uint32_t frame = no_frame;
    if (cache.count > 0) {
        frame = cache.pages[--cache.count];
    } else if (cache.zeroed_count > 0) {
        frame = cache.zeroed[--cache.zeroed_count];
    } else {
        return no_frame;
    }
    add_to_balance(cache.balance, one_allocated - one_cached);
    return frame;
}

uint32_t PageAllocator::take_zeroed_from_cache(CpuCache& cache) {
    // Relaxed: a hint; refill_zeroed looks again under the lock.
    if (cache.zeroed_count == 0 && zeroed_.load(std::memory_order_relaxed) > 0) {
        refill_zeroed(cache);
    }
    if (cache.zeroed_count == 0) return no_frame;
    const uint32_t frame = cache.zeroed[--cache.zeroed_count];
    add_to_balance(cache.balance, one_allocated - one_cached);
    return frame;
}

void PageAllocator::refill(CpuCache& cache) {
    SpinGuard guard(lock_);
    while (cache.count < cache_batch) {
        uint32_t frame = take_block(0);
        if (frame == no_frame) frame = pop_zeroed();
        if (frame == no_frame) break;
        set_tag(frame, {FrameState::cached, 0});
        cache.pages[cache.count++] = frame;
        add_to_balance(cache.balance, one_cached);
    }
}

void PageAllocator::refill_zeroed(CpuCache& cache) {
    SpinGuard guard(lock_);
    while (cache.zeroed_count < cache_batch) {
        const uint32_t frame = pop_zeroed();
        if (frame == no_frame) break;
        set_tag(frame, {FrameState::cached, 0});
        cache.zeroed[cache.zeroed_count++] = frame;
        add_to_balance(cache.balance, one_cached);
    }
}

// Gives the oldest pages back until `keep` are left, so that recently used ones stay.
void PageAllocator::drain(CpuCache& cache, uint32_t keep) {
    SpinGuard guard(lock_);
    const uint32_t leaving = cache.count - keep;
    for (uint32_t i = 0; i < leaving; ++i) give_block(cache.pages[i], 0);
    for (uint32_t i = 0; i < keep; ++i) cache.pages[i] = cache.pages[leaving + i];
    cache.count = keep;
    add_to_balance(cache.balance, uint64_t{0} - leaving * one_cached);
}

void PageAllocator::flush_caches() {
    for (CpuCache& cache : caches_) {
        // Relaxed: skips the caches of CPUs that were never used; a page that comes in just now
        // could as well have come in later.
        if (static_cast<uint32_t>(cache.balance.load(std::memory_order_relaxed)) == 0) continue;
        SpinGuard guard(cache.lock);
        drain(cache, 0);
        SpinGuard global(lock_);
        const uint32_t leaving = cache.zeroed_count;
        for (uint32_t i = 0; i < leaving; ++i) give_block(cache.zeroed[i], 0);
        cache.zeroed_count = 0;
        add_to_balance(cache.balance, uint64_t{0} - leaving * one_cached);
    }
    // In steps, so that no CPU waits long for the lock.
    for (bool more = true; more;) {
        SpinGuard guard(lock_);
        for (unsigned i = 0; i < abi::chunk_items && more; ++i) {
            const uint32_t frame = pop_zeroed();
            more = frame != no_frame;
            if (more) give_block(frame, 0);
        }
    }
}

// The zeroed pool: a stack linked through the frames.

uint32_t PageAllocator::pop_zeroed() {
    const uint32_t frame = first_zeroed_;
    if (frame == no_frame) return no_frame;
    first_zeroed_ = frames_[frame].next;
    // Relaxed: written under lock_ only, read without it as a hint.
    zeroed_.store(zeroed_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    return frame;
}

uint32_t PageAllocator::zero_some(uint32_t limit) {
    uint32_t done = 0;
    for (; done < limit; ++done) {
        uint32_t frame = no_frame;
        {
            SpinGuard guard(lock_);
            // Relaxed: stable under lock_.
            const uint32_t have = zeroed_.load(std::memory_order_relaxed) + being_zeroed_;
            // Half of what is free may be zeroed single pages; the rest stays for larger blocks. As
            // many again are left alone, so that memory never runs out by what is zeroed right now.
            if (have >= zeroed_target_ || free_ <= std::max(have, zeroed_target_)) break;
            frame = take_block(0);
            if (frame == no_frame) break;
            set_tag(frame, {FrameState::cached, 0});
            ++being_zeroed_;
        }
        memset(pointer({frame}), 0, page_size);
        SpinGuard guard(lock_);
        --being_zeroed_;
        set_tag(frame, {FrameState::zeroed, 0});
        frames_[frame].next = first_zeroed_;
        first_zeroed_ = frame;
        zeroed_.store(zeroed_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    return done;
}

PageLedger PageAllocator::ledger() {
    // lock_ stops every move but those between a cache and its users, which one word shows whole.
    SpinGuard guard(lock_);
    uint64_t cached = being_zeroed_;
    uint32_t allocated = 0;
    for (const CpuCache& cache : caches_) {
        const uint64_t balance = cache.balance.load(std::memory_order_relaxed);
        cached += static_cast<uint32_t>(balance);
        allocated += static_cast<uint32_t>(balance >> 32);
    }
    // Modulo 2^32, which is exact: there are fewer pages, whatever went through single caches.
    allocated += static_cast<uint32_t>(allocated_directly_);
    return {total_, free_, zeroed_.load(std::memory_order_relaxed), cached, allocated};
}

}  // namespace annulus::kernel
