// SPDX-License-Identifier: MIT
// Copy-on-write: sharing frames with a clone, and ending the sharing before a write.
//
// Making a clone: (1) clone_some: the clone gets a share in each frame, or a copy; (2)
// protect_some: the source's translations lose the right to write; (3) a grace period drops cached
// translations; (4) the clone is given to its maker. Up to (3) a program may still write to shared
// frames, so the clone sees such writes or not; nobody can see the clone yet.
//
// Ending the sharing of a page: it gets a copy of its own. No CPU may keep a translation to the old
// frame, for it would read stale bytes, and the frame may be freed at any time by its other users:
//   (a) no mapping has the page: replaced at once;
//   (b) one mapping has it, and no other CPU has loaded its page table: the same, with that address
//       space locked (AddressSpace::make_private);
//   (c) otherwise the page is set apart: nobody can map it any more; its translations are removed;
//       after a grace period it is replaced. One page of an object at a time. Whoever needs the
//       page meanwhile is told `busy`, helps with the removal by asking again, and depends on
//       nobody.
#include "kernel/memory/address_space.h"
#include "kernel/memory/frames.h"
#include "kernel/memory/memory_object.h"
#include "kernel/memory/region.h"

namespace annulus::kernel {

namespace {
// Pages that one step of a clone copies rather than shares.
constexpr unsigned copies_per_step = 8;
}  // namespace

Result<Ref<MemoryObject>> MemoryObject::create_clone(Budget& budget, uint64_t offset,
                                                     uint64_t pages) {
    TRY(check_part(offset, pages));
    const Place at = TRY(place());
    if (at.root->is_device()) return Error::wrong_state;
    // The pages that are missing in memory on demand are missing in the clone, too, but paid.
    const uint64_t flags = at.root->flags_ & abi::memory_on_demand;
    const MemoryKind kind = flags ? MemoryKind::on_demand : MemoryKind::committed;
    Ref<MemoryObject> clone = TRY(budget.create<MemoryObject>(kind, pages, flags));
    TRY(clone->charge_all(pages + FrameDirectory::tables_for(pages)));
    return clone;
}

bool MemoryObject::needs_copy_locked(uint32_t frame) const {
    return frame_record(frame).pins.load(std::memory_order_relaxed) != 0;
}

namespace {
struct ClonedFrame {
    uint64_t index;  // in the clone
    uint32_t frame;
};

// A private copy of a page, with one user.
Result<uint32_t> copy_of(const std::byte* page) {
    const uint32_t frame = TRY(allocate_frame(FrameContent::undefined));
    memcpy(frame_pointer(frame), page, arch::page_size);
    // Relaxed: the frame is entered under a lock.
    frame_record(frame).references.store(1, std::memory_order_relaxed);
    return frame;
}
}  // namespace

Result<bool> MemoryObject::clone_some(MemoryObject& clone, uint64_t first) {
    ClonedFrame frames[abi::chunk_items];
    unsigned count = 0;
    Result<void> result;
    {
        SpinGuard guard(lock_);
        if (ended_) return Error::closed;
        unsigned copies = 0;
        for (unsigned i = 0; i < abi::chunk_items && clone.clone_cursor_ < clone.pages_; ++i) {
            const uint64_t index = first + clone.clone_cursor_;
            uint32_t frame = has_directory() ? directory_.find(index) : 0;
            if (!has_directory() || (frame != 0 && needs_copy_locked(frame))) {
                if (copies++ == copies_per_step) break;
                const Result<uint32_t> copy = copy_of(bytes_locked(index));
                if (!copy.ok()) {
                    result = copy.status();
                    break;
                }
                frame = *copy;
            } else if (frame != 0) {
                share_frame(frame);
            }
            if (frame != 0) frames[count++] = {clone.clone_cursor_, frame};
            ++clone.clone_cursor_;
        }
    }
    SpinGuard guard(clone.lock_);
    if (clone.ended_) result = Error::closed;
    for (unsigned i = 0; i < count; ++i) {
        if (result.ok()) result = clone.directory_.enter(frames[i].index, frames[i].frame);
        if (result.ok()) {
            ++clone.present_;
        } else {
            drop_frame(frames[i].frame);
        }
    }
    if (!result.ok()) return result.status();
    return clone.clone_cursor_ == clone.pages_;
}

// Looks at no more than a few mappings, and at chunk_items pages of one, each time.
bool MemoryObject::protect_some(MemoryObject& clone, uint64_t first) {
    ProtectPass& pass = clone.pass_;
    AddressSpace* space = nullptr;
    uint64_t page = 0;
    uint64_t count = 0;
    uint64_t address = 0;
    {
        SpinGuard guard(lock_);
        if (pass.done) return true;
        if (!pass.marker.linked()) mappings_.push_front(pass.marker);
        for (unsigned i = 0; i < abi::chunk_items && count == 0; ++i) {
            MappingNode* next = mappings_.next(pass.marker);
            if (next == nullptr) {
                IntrusiveList<MappingNode, MappingOfMemory>::remove(pass.marker);
                pass.done = true;
                return true;
            }
            if (next != pass.current) pass.next_page = first;
            pass.current = next;
            if (next->is_region) {
                auto& region = static_cast<Region&>(*next);
                page = pass.next_page > region.first ? pass.next_page : region.first;
                const uint64_t end = first + clone.pages_ < region.end_page() ? first + clone.pages_
                                                                              : region.end_page();
                if (page < end) {
                    count = end - page < abi::chunk_items ? end - page : abi::chunk_items;
                    space = region.space;
                    address = region.address_of(page);
                    pass.next_page = page + count;
                    continue;
                }
            }
            IntrusiveList<MappingNode, MappingOfMemory>::remove(pass.marker);
            IntrusiveList<MappingNode, MappingOfMemory>::insert_after(*next, pass.marker);
        }
    }
    // The address space lives until the kernel is left: its region was in the list a moment ago.
    if (count != 0) space->withhold_write(*this, page, address, count);
    return false;
}

void MemoryObject::cancel_clone(MemoryObject& clone) {
    SpinGuard guard(lock_);
    if (clone.pass_.marker.linked()) {
        IntrusiveList<MappingNode, MappingOfMemory>::remove(clone.pass_.marker);
    }
    clone.pass_.done = true;
}

// --- making a page private
// ------------------------------------------------------------------------

MemoryObject::Cover MemoryObject::cover_locked(uint64_t index) {
    Cover cover;
    for (MappingNode& node : mappings_) {
        if (!node.is_region) continue;
        auto& region = static_cast<Region&>(node);
        if (!region.has_page(index)) continue;
        ++cover.count;
        cover.region = &region;
    }
    return cover;
}

// Gives the page a copy of its own. No CPU has a translation to the page through this object.
Result<void> MemoryObject::replace_locked(uint64_t index) {
    const uint32_t frame = directory_.find(index);
    if (frame == 0 || !shared_locked(frame)) return {};
    const uint32_t copy = TRY(copy_of(frame_pointer(frame)));
    // The tables are there, so this cannot fail.
    TRY(directory_.enter(index, copy));
    drop_frame(frame);
    return {};
}

Result<void> MemoryObject::make_private_through(uint64_t index, const Region& only) {
    SpinGuard guard(lock_);
    if (separation_.active) return Error::busy;
    const Cover cover = cover_locked(index);
    if (cover.count != 1 || cover.region != &only) return Error::busy;
    return replace_locked(index);
}

Result<void> MemoryObject::make_private(uint64_t index) {
    AddressSpace* space = nullptr;
    uint64_t address = 0;
    {
        SpinGuard guard(lock_);
        if (!separation_.active) {
            const uint32_t frame = directory_.find(index);
            if (frame == 0 || !shared_locked(frame)) return {};
            if (separation_.failed && separation_.index == index) {
                separation_.failed = false;
                return Error::no_memory;
            }
            const Cover cover = cover_locked(index);
            if (cover.count == 0) return replace_locked(index);
            if (cover.count == 1) {
                space = cover.region->space;
                address = cover.region->address_of(index);
            } else {
                begin_separation_locked(index);
            }
        }
    }
    if (space != nullptr) {
        // The address space lives until the kernel is left: its region was in the list just now.
        const Result<void> made = space->make_private(*this, index, address);
        if (made.ok() || made.error() != Error::busy) return made;
        SpinGuard guard(lock_);
        const uint32_t frame = directory_.find(index);
        if (frame == 0 || !shared_locked(frame)) return {};
        if (!separation_.active) begin_separation_locked(index);
    }
    return advance_separation();
}

void MemoryObject::begin_separation_locked(uint64_t index) {
    separation_.active = true;
    separation_.flushing = false;
    separation_.failed = false;
    separation_.index = index;
    mappings_.push_front(separation_.marker);
}

// Removes some translations of the page that is set apart; the last step starts the grace period.
Result<void> MemoryObject::advance_separation() {
    for (unsigned i = 0; i < abi::chunk_items; ++i) {
        AddressSpace* space = nullptr;
        uint64_t index = 0;
        uint64_t address = 0;
        {
            SpinGuard guard(lock_);
            if (!separation_.active || separation_.flushing) return Error::busy;
            MappingNode* next = mappings_.next(separation_.marker);
            if (next == nullptr) {
                // Who removes a translation right now is about to come here.
                if (separation_.visitors != 0) return Error::busy;
                IntrusiveList<MappingNode, MappingOfMemory>::remove(separation_.marker);
                separation_.flushing = true;
                break;
            }
            IntrusiveList<MappingNode, MappingOfMemory>::remove(separation_.marker);
            IntrusiveList<MappingNode, MappingOfMemory>::insert_after(*next, separation_.marker);
            if (!next->is_region) continue;
            auto& region = static_cast<Region&>(*next);
            index = separation_.index;
            if (!region.has_page(index)) continue;
            space = region.space;
            address = region.address_of(index);
            ++separation_.visitors;
        }
        space->remove_translation(*this, index, address);
        SpinGuard guard(lock_);
        --separation_.visitors;
    }
    {
        SpinGuard guard(lock_);
        if (!separation_.flushing || separation_.done != nullptr) return Error::busy;
        // Whoever writes through a handle merely looked it up.
        if (!try_retain(*this)) return Error::closed;
        separation_.done = separation_done;
        separation_.flush = true;
    }
    grace_after(separation_);
    return Error::busy;
}

void MemoryObject::separation_done(GraceItem& item) {
    auto& separation = static_cast<Separation&>(item);
    MemoryObject& object = *separation.object;
    {
        SpinGuard guard(object.lock_);
        separation.failed = !object.replace_locked(separation.index).ok();
        separation.active = false;
        separation.flushing = false;
        separation.done = nullptr;
    }
    release(object);
}

}  // namespace annulus::kernel
