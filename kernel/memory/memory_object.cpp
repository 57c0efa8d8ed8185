// SPDX-License-Identifier: MIT
// Making memory objects, giving them their pages, and what they say about themselves.
#include "kernel/memory/memory_object.h"

#include "base/align.h"
#include "kernel/memory/frames.h"

namespace annulus::kernel {

namespace {

// Never reused. Relaxed: only uniqueness counts.
std::atomic<uint64_t> next_id{1};

constexpr uint64_t creation_flags =
    abi::memory_on_demand | abi::memory_contiguous | abi::memory_revocable;

MemoryKind kind_for(uint64_t flags) {
    if (flags & abi::memory_on_demand) return MemoryKind::on_demand;
    if (flags & abi::memory_contiguous) return MemoryKind::contiguous;
    return MemoryKind::committed;
}

}  // namespace

MemoryObject::MemoryObject(Budget* payer, uint32_t size, MemoryKind kind, uint64_t pages,
                           uint64_t flags)
    : Object(memory_object_kind, payer, size),
      memory_kind_(kind),
      pages_(pages),
      flags_(flags),
      id_(next_id.fetch_add(1, std::memory_order_relaxed)),
      directory_(pages) {
    separation_.object = this;
    work_.object = this;
}

// Charges the object's whole use; it is given back at its end, also when this is not reached.
Result<void> MemoryObject::charge_all(uint64_t pages) {
    TRY(budget->charge(abi::Resource::pages, pages));
    SpinGuard guard(lock_);
    if (ended_) {
        budget->uncharge(abi::Resource::pages, pages);
        return Error::closed;
    }
    charged_ = pages;
    prepaid_ = true;
    return {};
}

Result<Ref<MemoryObject>> MemoryObject::create(Budget& budget, uint64_t pages, uint64_t flags) {
    if (flags & ~creation_flags) return Status(Error::not_supported, 1);
    if ((flags & abi::memory_on_demand) && (flags & abi::memory_contiguous)) {
        return Status(Error::bad_argument, 1);
    }
    if (pages == 0) return Status(Error::bad_argument, 0);
    if (pages > abi::memory_pages_max) return Error::limit;
    const MemoryKind kind = kind_for(flags);
    Ref<MemoryObject> memory = TRY(budget.create<MemoryObject>(kind, pages, flags));
    if (kind == MemoryKind::on_demand) return memory;
    if (kind == MemoryKind::contiguous) {
        if (PageAllocator::order_for(pages) > PageAllocator::max_order) return Error::limit;
        TRY(memory->charge_all(pages));
        memory->base_ = TRY(page_allocator().allocate_run(pages, PageUse::user)).address();
    } else {
        TRY(memory->charge_all(pages + FrameDirectory::tables_for(pages)));
    }
    uint64_t offset = 0;
    TRY(memory->commit_some(offset, pages * arch::page_size));
    return memory;
}

Result<Ref<MemoryObject>> MemoryObject::create_physical(Budget& budget, PhysicalRange range,
                                                        MemoryKind kind) {
    if (range.empty() || !is_aligned(range.begin, arch::page_size)) return Error::bad_argument;
    const uint64_t pages = divide_round_up(range.size(), arch::page_size);
    if (pages > abi::memory_pages_max) return Error::limit;
    Ref<MemoryObject> memory = TRY(budget.create<MemoryObject>(kind, pages, uint64_t{0}));
    memory->base_ = range.begin;
    return memory;
}

Result<MemoryObject::Place> MemoryObject::place_of_range() {
    // Acquire: pairs with the release of the root's end: a root that is seen is whole. It stays
    // allocated until the kernel is left, even if its end comes now.
    MemoryObject* root = root_.load(std::memory_order_acquire);
    if (root == nullptr) return Error::closed;
    return Place{root, root_first_};
}

// A part that begins at `offset` bytes, which is word 1 of range and clone; `pages` is word 2.
Result<void> MemoryObject::check_part(uint64_t offset, uint64_t pages) const {
    if (!is_aligned(offset, arch::page_size)) return Status(Error::bad_argument, 1);
    if (pages == 0) return Status(Error::bad_argument, 2);
    if (!range_fits(offset / arch::page_size, pages, pages_)) return Error::out_of_range;
    return {};
}

Result<Ref<MemoryObject>> MemoryObject::create_range(Budget& budget, uint64_t offset,
                                                     uint64_t pages) {
    TRY(check_part(offset, pages));
    const Place at = TRY(place());
    Ref<MemoryObject> range = TRY(budget.create<MemoryObject>(MemoryKind::range, pages, flags_));
    range->root_first_ = at.first + offset / arch::page_size;
    SpinGuard guard(at.root->lock_);
    if (at.root->ended_) return Error::closed;
    if (at.root->range_count_ == abi::mappings_per_memory_max) return Error::limit;
    if (!try_retain(*at.root)) return Error::closed;
    ++at.root->range_count_;
    at.root->ranges_.push_back(*range);
    // Release: pairs with the acquire in place().
    range->root_.store(at.root, std::memory_order_release);
    return range;
}

// --- giving pages -------------------------------------------------------------------------------

// Zeroes up to chunk_items pages of a contiguous run; for the time before anybody can see it.
Result<void> MemoryObject::zero_run_some(uint64_t& page, uint64_t end) {
    const uint64_t stop = end - page < abi::chunk_items ? end : page + abi::chunk_items;
    for (; page < stop; ++page) {
        memset(frame_pointer(frame_of(base_) + static_cast<uint32_t>(page)), 0, arch::page_size);
    }
    SpinGuard guard(lock_);
    present_ = present_ < page ? page : present_;
    return {};
}

Result<void> MemoryObject::commit_some(uint64_t& offset, uint64_t end) {
    if (!is_aligned(offset, arch::page_size) || !is_aligned(end, arch::page_size)) {
        return Error::bad_argument;
    }
    if (offset > end || end > pages_ * arch::page_size) return Error::out_of_range;
    const Place at = TRY(place());
    if (memory_kind_ == MemoryKind::contiguous) {
        bool zeroed;
        {
            SpinGuard guard(lock_);
            zeroed = present_ == pages_;
        }
        uint64_t page = offset / arch::page_size;
        if (!zeroed) {
            TRY(zero_run_some(page, end / arch::page_size));
            offset = page * arch::page_size;
            return {};
        }
    }
    if (!at.root->has_directory()) {
        offset = end;
        return {};
    }
    for (unsigned i = 0; i < abi::chunk_items && offset < end; ++i, offset += arch::page_size) {
        SpinGuard guard(at.root->lock_);
        TRY(at.root->make_page_locked(at.first + offset / arch::page_size));
    }
    return {};
}

// The frame of a page of a directory, made if it is missing. Pages of an object whose payer died
// are paid by the mappings' reservations.
Result<uint32_t> MemoryObject::make_page_locked(uint64_t index) {
    if (detached_) return Error::closed;
    uint32_t* const place = directory_.place(index);
    if (place != nullptr && *place != 0) return *place;
    const uint64_t tables = place == nullptr ? directory_.tables_missing(index) : 0;
    const bool pays = !prepaid_ && !ended_;
    if (pays) {
        TRY(budget->charge(abi::Resource::pages, 1 + tables));
        charged_ += 1 + tables;
    }
    Result<uint32_t> frame = allocate_frame(FrameContent::zeroed);
    if (frame.ok()) {
        // Relaxed: the frame is entered under the lock.
        frame_record(*frame).references.store(1, std::memory_order_relaxed);
        if (place != nullptr) *place = *frame;
        if (place != nullptr || directory_.enter(index, *frame).ok()) {
            ++present_;
            return *frame;
        }
        drop_frame(*frame);
    }
    if (pays) {
        // Tables that were made stay and remain paid.
        const uint64_t unused = 1 + directory_.tables_missing(index);
        budget->uncharge(abi::Resource::pages, unused);
        charged_ -= unused;
    }
    return Error::no_memory;
}

// --- properties ---------------------------------------------------------------------------------

uint64_t MemoryObject::committed() {
    if (memory_kind_ != MemoryKind::range) {
        SpinGuard guard(lock_);
        return has_directory() ? present_ : pages_;
    }
    const Result<Place> at = place();
    if (!at.ok()) return 0;
    MemoryObject& root = *at->root;
    if (!root.has_directory()) return pages_;
    // Counted only as far as that is quick; a long range answers for its first pages.
    uint64_t count = 0;
    uint64_t page = at->first;
    const uint64_t end = page + pages_;
    SpinGuard guard(root.lock_);
    for (unsigned i = 0; i < 16 * abi::chunk_items && page < end; ++i) {
        const uint64_t next = root.directory_.skip_missing(page, end);
        if (next == page && root.directory_.find(page) != 0) ++count;
        page = next == page ? page + 1 : next;
    }
    return count;
}

Result<arch::PhysicalAddress> MemoryObject::physical() {
    const Place at = TRY(place());
    if (at.root->has_directory()) return Error::wrong_state;
    return at.root->base_ + at.first * arch::page_size;
}

}  // namespace annulus::kernel
