// SPDX-License-Identifier: MIT
// Reaching the pages of a memory object: for copies, for pins and for page tables.
#include "base/align.h"
#include "kernel/memory/frames.h"
#include "kernel/memory/memory_object.h"

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
    uint32_t frame = directory_.find(index);
    if (frame == 0) {
        if (!make) return Error::not_found;
        frame = TRY(make_page_locked(index));
    }
    return MappablePage{frame_address(frame), shared_locked(frame)};
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

Result<void> MemoryObject::pin(Budget& payer, uint64_t first, uint64_t count) {
    if (!range_fits(first, count, pages_)) return Error::out_of_range;
    const Place at = TRY(place_to_pin());
    TRY(payer.charge(abi::Resource::pins, count));
    for (uint64_t i = 0; i < count; ++i) {
        std::byte* page;
        const Status status = at.root->pin_page(at.first + first + i, *this, page);
        if (status.ok()) [[likely]]
            continue;
        while (i > 0) at.root->unpin_page(at.first + first + --i, *this);
        payer.uncharge(abi::Resource::pins, count);
        return status;
    }
    return {};
}

Result<std::byte*> MemoryObject::pin_one(Budget& payer, uint64_t index) {
    if (index >= pages_) return Error::out_of_range;
    const Place at = TRY(place_to_pin());
    TRY(payer.charge(abi::Resource::pins, 1));
    std::byte* page;
    const Status status = at.root->pin_page(at.first + index, *this, page);
    if (status.ok()) [[likely]]
        return page;
    payer.uncharge(abi::Resource::pins, 1);
    return status;
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

// A page that is there and nobody's but this object's, now with one pin more; or null.
inline std::byte* MemoryObject::page_to_pin_locked(uint64_t index) {
    if (!has_directory()) return bytes_locked(index);
    const uint32_t frame = directory_.find(index);
    if (frame == 0 || shared_locked(frame)) return nullptr;
    if (separation_.active && separation_.index == index) return nullptr;
    // Relaxed: guarded by the lock.
    frame_record(frame).pins.fetch_add(1, std::memory_order_relaxed);
    return frame_pointer(frame);
}

void MemoryObject::unpin(Budget& payer, uint64_t first, uint64_t count) {
    payer.uncharge(abi::Resource::pins, count);
    const Result<Place> at = place();
    kernel_assert(at.ok(), "a range lost its root while it had pins");
    bool ended = false;
    for (uint64_t i = 0; i < count; ++i) ended = at->root->unpin_page(at->first + first + i, *this);
    if (ended) at->root->pins_gone(*this);
}

// True when the object's payer died, so that the page may have to go.
bool MemoryObject::unpin_page(uint64_t index, MemoryObject& owner) {
    SpinGuard guard(lock_);
    --owner.owned_pins_;
    if (has_directory()) {
        const uint32_t frame = directory_.find(index);
        kernel_assert(frame != 0, "unpinned a page that was not pinned");
        // Relaxed: guarded by the lock.
        frame_record(frame).pins.fetch_sub(1, std::memory_order_relaxed);
    }
    return ended_;
}

void* MemoryObject::pinned_address(uint64_t index) {
    const Result<Place> at = place();
    kernel_assert(at.ok(), "asked for a pinned page of memory that died");
    SpinGuard guard(at->root->lock_);
    return at->root->bytes_locked(at->first + index);
}

}  // namespace annulus::kernel
