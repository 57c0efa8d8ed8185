// SPDX-License-Identifier: MIT
// Physical pages: how one is named, and what the kernel remembers about each.
#pragma once

#include "abi/limits.h"

#include <stdint.h>

#include <atomic>
#include <type_traits>

namespace annulus::kernel {

using abi::page_size;

inline constexpr uint32_t page_shift = 12;
static_assert(page_size == uint64_t{1} << page_shift);

// Stands for "none" where a frame number is expected. So RAM is managed up to 16 TiB.
inline constexpr uint32_t no_frame = 0xffffffff;

// One page of RAM, or the first of a block of 2^order pages, by frame number.
struct PhysicalPage {
    uint32_t frame = no_frame;

    constexpr uint64_t address() const { return uint64_t{frame} << page_shift; }
    constexpr bool operator==(const PhysicalPage&) const = default;
};

// Who uses a page. For people and checks: the allocator treats both alike.
enum class PageUse : uint8_t { kernel, user };

enum class FrameState : uint8_t {
    none,    // not RAM, reserved, or inside a block whose first frame tells
    free,    // first frame of a free block
    cached,  // a single free page in a CPU's cache, or on its way to or from one
    zeroed,  // a single free page that is all zero
    kernel,  // first frame of an allocated block
    user,    // the same
};

// State and order of a block in one word. Only the first frame of a block has a state.
class FrameTag {
public:
    constexpr FrameTag() = default;
    constexpr FrameTag(FrameState state, uint32_t order)
        : bits_(static_cast<uint16_t>(static_cast<uint32_t>(state) << 8 | order)) {}

    constexpr FrameState state() const { return static_cast<FrameState>(bits_ >> 8); }
    constexpr uint32_t order() const { return bits_ & 0xff; }
    constexpr bool allocated() const {
        return state() == FrameState::kernel || state() == FrameState::user;
    }
    constexpr bool operator==(const FrameTag&) const = default;

private:
    uint16_t bits_ = 0;
};

// What is remembered about one frame: an entry of the frame table.
//
// While the block is free the allocator owns all of it. While it is allocated, everything but the
// tag in the block's first entry belongs to the block's owner, under the owner's lock.
struct PageFrame {
    // Links by frame number, for a list of the owner's.
    uint32_t next;
    uint32_t previous;
    // Written by the allocator only. Relaxed: the locks order everything else; a reader that does
    // not hold them (the check of a neighbour when blocks are merged) looks for `free`, which
    // appears and vanishes under the allocator's lock only.
    std::atomic<FrameTag> tag;
    uint16_t owner_small;
    uint32_t owner_word;
    // How many memory objects (or clones) share the page, and how many uses hold it in place.
    // Both are 0 when the block is freed.
    std::atomic<uint32_t> references;
    std::atomic<uint32_t> pins;
    uint64_t owner;
};

static_assert(sizeof(PageFrame) == 32 && std::atomic<FrameTag>::is_always_lock_free);
static_assert(std::is_trivially_destructible_v<PageFrame>);

}  // namespace annulus::kernel
