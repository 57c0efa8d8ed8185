// SPDX-License-Identifier: MIT
// Reaching the pages of a memory object: for copies, for pins and for page tables.
#include "base/align.h"
#include "kernel/memory/frames.h"
#include "kernel/memory/memory_object.h"

#include <bit>
#include <span>

namespace annulus::kernel {

// A pinned page is never shared: it was made private first, and clones copy it.
bool MemoryObject::shared_locked(uint32_t frame) const {
    // Relaxed: pins of this object's frames change under its lock.
    return frame_record(frame).pins.load(std::memory_order_relaxed) == 0 && frame_shared(frame);
}

// The bytes of a page that has a frame, or null.
std::byte* MemoryObject::bytes_locked(uint64_t index) {
    if (!has_directory()) {
        return frame_pointer(frame_of(base_) + static_cast<uint32_t>(index));
    }
    const uint32_t frame = directory_.find(index);
    return frame == 0 ? nullptr : frame_pointer(frame);
}

Result<MappablePage> MemoryObject::page_to_map(uint64_t index, bool make) {
    if (!has_directory()) return MappablePage{base_ + index * arch::page_size, false};
    SpinGuard guard(lock_);
    if (separation_.active && separation_.index == index) return Error::busy;
    const uint32_t frame = directory_.find(index);
    if (frame != 0) return MappablePage{frame_address(frame), shared_locked(frame)};
    if (!make) return Error::not_found;
    return MappablePage{frame_address(TRY(make_page_locked(index))), false};
}

uint32_t MemoryObject::pages_to_map(uint64_t first, uint32_t wanted, Run& pages) {
    uint32_t there = 0;
    SpinGuard guard(lock_);
    if (!has_directory()) {
        for (uint32_t left = wanted; left != 0; left &= left - 1) {
            const auto i = static_cast<unsigned>(std::countr_zero(left));
            pages[i] = {base_ + (first + i) * arch::page_size, false};
        }
        return wanted;
    }
    std::span<const uint32_t> frames = directory_.table_from(first);
    uint64_t frames_begin = first;
    for (uint32_t left = wanted; left != 0; left &= left - 1) {
        const auto i = static_cast<unsigned>(std::countr_zero(left));
        const uint64_t index = first + i;
        if (index - frames_begin >= frames.size()) [[unlikely]] {
            frames_begin = index;
            frames = directory_.table_from(index);
            if (frames.empty()) continue;
        }
        // Most are not there where pages are touched for the first time. Bounds: looked at above.
        const uint32_t frame = frames.data()[index - frames_begin];
        if (frame == 0) [[likely]]
            continue;
        if (separation_.active && separation_.index == index) continue;
        pages[i] = {frame_address(frame), shared_locked(frame)};
        there |= uint32_t{1} << i;
    }
    return there;
}

Result<arch::PhysicalAddress> MemoryObject::frame(uint64_t index, bool write) {
    if (index >= pages_) return Error::out_of_range;
    const Place at = TRY(place());
    if (write) return at.root->writable_page(at.first + index);
    return TRY(at.root->page_to_map(at.first + index, true)).address;
}

// A root's page, made and made private.
Result<arch::PhysicalAddress> MemoryObject::writable_page(uint64_t index) {
    // A clone that is made at this very moment may share the page again: then it is `busy`.
    for (unsigned attempt = 0; attempt < 4; ++attempt) {
        const MappablePage page = TRY(page_to_map(index, true));
        if (!page.shared) return page.address;
        TRY(make_private(index));
    }
    return Error::busy;
}

// --- copies -------------------------------------------------------------------------------------

Result<void> MemoryObject::copy_in(uint64_t offset, const void* from, uint64_t size) {
    if (!range_fits(offset, size, pages_ * arch::page_size)) return Error::out_of_range;
    const Place at = TRY(place());
    if (at.root->is_device()) return Error::wrong_state;
    const auto* bytes = static_cast<const std::byte*>(from);
    while (size > 0) {
        const uint64_t room = arch::page_size - offset % arch::page_size;
        const uint64_t part = size < room ? size : room;
        TRY(at.root->copy_in_page(at.first * arch::page_size + offset, bytes, part));
        offset += part;
        bytes += part;
        size -= part;
    }
    return {};
}

Result<void> MemoryObject::copy_in_page(uint64_t offset, const void* from, uint64_t size) {
    const uint64_t index = offset / arch::page_size;
    for (unsigned attempt = 0; attempt < 4; ++attempt) {
        if (has_directory()) TRY(writable_page(index));
        SpinGuard guard(lock_);
        if (detached_) return Error::closed;
        // Shared or gone again since then: once more.
        if (has_directory()) {
            const uint32_t frame = directory_.find(index);
            if (frame == 0 || shared_locked(frame)) continue;
        }
        memcpy(bytes_locked(index) + offset % arch::page_size, from, size);
        return {};
    }
    return Error::busy;
}

Result<void> MemoryObject::copy_out(uint64_t offset, void* to, uint64_t size) {
    if (!range_fits(offset, size, pages_ * arch::page_size)) return Error::out_of_range;
    const Place at = TRY(place());
    if (at.root->is_device()) return Error::wrong_state;
    auto* bytes = static_cast<std::byte*>(to);
    offset += at.first * arch::page_size;
    while (size > 0) {
        const uint64_t room = arch::page_size - offset % arch::page_size;
        const uint64_t part = size < room ? size : room;
        SpinGuard guard(at.root->lock_);
        if (at.root->detached_) return Error::closed;
        const std::byte* page = at.root->bytes_locked(offset / arch::page_size);
        if (page == nullptr) {
            memset(bytes, 0, part);
        } else {
            memcpy(bytes, page + offset % arch::page_size, part);
        }
        offset += part;
        bytes += part;
        size -= part;
    }
    return {};
}

// --- pins ---------------------------------------------------------------------------------------

// A page that is there and nobody's but this object's, now with one pin more; or null.
[[gnu::always_inline]] inline std::byte* MemoryObject::page_to_pin_locked(uint64_t index) {
    return has_directory() ? frame_to_pin_locked(index) : bytes_locked(index);
}

// The same for memory with a directory.
[[gnu::always_inline]] inline std::byte* MemoryObject::frame_to_pin_locked(uint64_t index) {
    const uint32_t number = directory_.find(index);
    if (number == 0) return nullptr;
    PageFrame& frame = frame_record(number);
    // Relaxed: guarded by the lock.
    const uint32_t pins = frame.pins.load(std::memory_order_relaxed);
    // A pinned page is not shared, and no longer being made private.
    if (pins == 0) {
        // Acquire: as in frame_shared().
        if (frame.references.load(std::memory_order_acquire) > 1) return nullptr;
        if (separation_.active && separation_.index == index) return nullptr;
    }
    frame.pins.store(pins + 1, std::memory_order_relaxed);
    return frame_pointer(number);
}

Result<void> MemoryObject::pin(Budget& payer, uint64_t first, uint64_t count) {
    if (!range_fits(first, count, pages_)) return Error::out_of_range;
    TRY(place_to_pin());
    TRY(payer.charge(abi::Resource::pins, count));
    const Status status = pin_paid(first, count);
    if (!status.ok()) payer.uncharge(abi::Resource::pins, count);
    return status;
}

Status MemoryObject::pin_many_paid(uint64_t first, uint64_t count) {
    if (!range_fits(first, count, pages_)) return Error::out_of_range;
    const Place at = TRY(place_to_pin());
    MemoryObject& root = *at.root;
    first += at.first;
    uint64_t done = 0;
    for (;;) {
        {
            SpinGuard guard(root.lock_);
            const uint64_t end = done + chunk_of(count - done);
            while (done < end && !root.ended_ && root.page_to_pin_locked(first + done)) {
                ++owned_pins_;
                ++done;
            }
        }
        if (done == count) [[likely]]
            return {};
        // One that must be made, or made private, first.
        std::byte* page;
        const Status status = root.pin_page(first + done, *this, page);
        if (!status.ok()) {
            unpin_at({at.root, first}, done);
            return status;
        }
        ++done;
    }
}

Result<std::byte*> MemoryObject::pin_one_paid(uint64_t index) {
    const bool plain = has_directory() && (flags_ & abi::memory_revocable) == 0 && index < pages_;
    if (plain) [[likely]] {
        SpinGuard guard(lock_);
        std::byte* page = ended_ ? nullptr : frame_to_pin_locked(index);
        if (page != nullptr) [[likely]] {
            ++owned_pins_;
            return page;
        }
    }
    return pin_one_slowly(index);
}

Result<std::byte*> MemoryObject::pin_one_slowly(uint64_t index) {
    if (index >= pages_) return Error::out_of_range;
    const Place at = TRY(place_to_pin());
    std::byte* page;
    TRY(Result<void>(at.root->pin_page(at.first + index, *this, page)));
    return page;
}

inline Result<MemoryObject::Place> MemoryObject::place_to_pin() {
    if (flags_ & abi::memory_revocable) return Error::may_fault;
    const Place at = TRY(place());
    if (at.root->is_device()) return Error::wrong_state;
    return at;
}

// Pins a root's page through `owner`: the root itself or a range, which then keeps its root.
Status MemoryObject::pin_page(uint64_t index, MemoryObject& owner, std::byte*& page) {
    for (unsigned attempt = 0; attempt < 4; ++attempt) {
        {
            SpinGuard guard(lock_);
            if (ended_) return Error::closed;
            page = page_to_pin_locked(index);
            if (page != nullptr) {
                ++owner.owned_pins_;
                return {};
            }
        }
        TRY(writable_page(index));
    }
    return Error::busy;
}

// One pin less; memory with a directory.
[[gnu::always_inline]] inline void MemoryObject::unpin_frame_locked(uint64_t index) {
    const uint32_t frame = directory_.find(index);
    kernel_assert(frame != 0, "unpinned a page that was not pinned");
    // Relaxed: guarded by the lock.
    frame_record(frame).pins.fetch_sub(1, std::memory_order_relaxed);
}

// True when the object's payer died, so that the pages may have to go.
bool MemoryObject::unpin_pages(uint64_t index, uint64_t count, MemoryObject& owner) {
    SpinGuard guard(lock_);
    owner.owned_pins_ -= count;
    if (!has_directory()) return ended_;
    for (const uint64_t end = index + count; index < end; ++index) unpin_frame_locked(index);
    return ended_;
}

void MemoryObject::unpin(Budget& payer, uint64_t first, uint64_t count) {
    payer.uncharge(abi::Resource::pins, count);
    unpin_paid(first, count);
}

void MemoryObject::unpin_page_paid(uint64_t index) {
    if (memory_kind_ == MemoryKind::range) [[unlikely]]
        return unpin_many_paid(index, 1);
    bool ended;
    {
        SpinGuard guard(lock_);
        --owned_pins_;
        if (has_directory()) [[likely]]
            unpin_frame_locked(index);
        ended = ended_;
    }
    if (ended) [[unlikely]]
        pins_gone(*this);
}

void MemoryObject::unpin_many_paid(uint64_t first, uint64_t count) {
    const Result<Place> at = place();
    kernel_assert(at.ok(), "a range lost its root while it had pins");
    unpin_at({at->root, at->first + first}, count);
}

void MemoryObject::unpin_at(Place at, uint64_t count) {
    bool ended = false;
    while (count > 0) {
        const uint64_t part = chunk_of(count);
        ended = at.root->unpin_pages(at.first, part, *this);
        at.first += part;
        count -= part;
    }
    if (ended) at.root->pins_gone(*this);
}

void MemoryObject::unpin_one_paid(const std::byte* page) {
    if (memory_kind_ == MemoryKind::range) [[unlikely]]
        return unpin_one_of_range(page);
    unpin_one_of(*this, page);
}

void MemoryObject::unpin_one_of_range(const std::byte* page) {
    const Result<Place> at = place();
    kernel_assert(at.ok(), "a range lost its root while it had pins");
    unpin_one_of(*at->root, page);
}

// The page of the root that was pinned through this object.
[[gnu::always_inline]] inline void MemoryObject::unpin_one_of(MemoryObject& root,
                                                              const std::byte* page) {
    bool ended;
    {
        SpinGuard guard(root.lock_);
        --owned_pins_;
        if (root.has_directory()) [[likely]] {
            PageFrame& frame = page_allocator().frame_at(page);
            // Relaxed: guarded by the lock.
            const uint32_t pins = frame.pins.load(std::memory_order_relaxed);
            kernel_assert(pins != 0, "unpinned a page that was not pinned");
            frame.pins.store(pins - 1, std::memory_order_relaxed);
        }
        ended = root.ended_;
    }
    if (ended) [[unlikely]]
        root.pins_gone(*this);
}

void* MemoryObject::pinned_address(uint64_t index) {
    const Result<Place> at = place();
    kernel_assert(at.ok(), "asked for a pinned page of memory that died");
    SpinGuard guard(at->root->lock_);
    return at->root->bytes_locked(at->first + index);
}

}  // namespace annulus::kernel
