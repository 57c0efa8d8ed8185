// SPDX-License-Identifier: MIT
// Mappings of a memory object, and how its pages go: with its last reference, or with its payer.
//
// When the payer dies and somebody still has the pages mapped (each mapping reserved them), the
// object goes on without charges of its own. Clearing up, by the reaper, in steps: ranges lose
// their root; reservations become charges for pages where the mapper has any left; pages that no
// mapping and no pin has are freed. It starts again whenever a mapping or pin of such an object
// goes.
#include "kernel/memory/address_space.h"
#include "kernel/memory/frames.h"
#include "kernel/memory/memory_object.h"
#include "kernel/memory/region.h"
#include "kernel/object/hardware.h"

namespace annulus::kernel {

namespace {
using Ranges = IntrusiveList<MemoryObject, RangeOfMemory>;

// Above all programs: whoever makes garbage must not outrun its removal.
constexpr uint8_t clearing_priority = abi::priority_count - 1;
constexpr unsigned tables_per_step = 8;
}  // namespace

// --- mappings
// -------------------------------------------------------------------------------------

Result<void> MemoryObject::add_mapping(Region& region) {
    SpinGuard guard(lock_);
    if (ended_) return Error::closed;
    if (mapping_count_ == abi::mappings_per_memory_max) return Error::limit;
    ++mapping_count_;
    mappings_.push_back(region);
    return {};
}

Result<void> MemoryObject::add_split_mapping(Region& first, Region& second) {
    SpinGuard guard(lock_);
    if (mapping_count_ == abi::mappings_per_memory_max) return Error::limit;
    ++mapping_count_;
    second.payment = first.payment;
    const uint64_t length = second.begin - first.begin;
    second.first = first.first + length / arch::page_size;
    first.end = second.begin;
    IntrusiveList<MappingNode, MappingOfMemory>::insert_after(first, second);
    return {};
}

void MemoryObject::remove_mapping(Region& region) {
    RegionPayment payment;
    bool ended;
    {
        SpinGuard guard(lock_);
        IntrusiveList<MappingNode, MappingOfMemory>::remove(region);
        --mapping_count_;
        payment = region.payment;
        ended = ended_;
    }
    Budget& mapper = region.space->budget();
    if (payment == RegionPayment::reserved) {
        mapper.uncharge(abi::Resource::reserved_pages, region.pages());
    } else if (payment == RegionPayment::pages) {
        mapper.uncharge(abi::Resource::pages, region.pages());
    }
    if (ended) clear_up();
}

// --- the last reference
// ---------------------------------------------------------------------------

// What ObjectKind calls.
struct MemoryEnd {
    static bool detach(Object& object) {
        auto& memory = static_cast<MemoryObject&>(object);
        if (memory.memory_kind_ == MemoryKind::range) {
            leave_root(memory);
            return true;
        }
        uint64_t charged;
        {
            SpinGuard guard(memory.lock_);
            charged = memory.charged_;
            memory.charged_ = 0;
            memory.ended_ = true;
            memory.detached_ = true;
        }
        if (charged != 0) memory.budget->uncharge(abi::Resource::pages, charged);
        if (memory.is_device()) {
            give_back_registers({memory.base_, memory.base_ + memory.pages_ * abi::page_size});
        }
        if (memory.memory_kind_ == MemoryKind::contiguous && memory.base_ != 0) {
            page_allocator().free_run(PhysicalPage{frame_of(memory.base_)}, memory.pages_);
        }
        if (!memory.has_directory() || memory.free_some()) return true;
        memory.work_.step = MemoryObject::free_step;
        memory.work_.priority = clearing_priority;
        reap(memory.work_);
        return false;
    }

    // A range's end, or its root's: the range has no pages any more.
    static void leave_root(MemoryObject& range) {
        MemoryObject* root = range.root_.load(std::memory_order_acquire);
        if (root == nullptr) return;
        {
            SpinGuard guard(root->lock_);
            // Relaxed: written under the lock.
            if (range.root_.load(std::memory_order_relaxed) == nullptr) return;
            if (Ranges::is_linked(range)) root->unlink_range_locked(range);
            range.root_.store(nullptr, std::memory_order_release);
        }
        release(*root);
    }

    static void die(Object& object) {
        auto& memory = static_cast<MemoryObject&>(object);
        if (memory.memory_kind_ == MemoryKind::range) return;
        uint64_t charged;
        {
            SpinGuard guard(memory.lock_);
            if (memory.ended_) return;
            memory.ended_ = true;
            charged = memory.charged_;
            memory.charged_ = 0;
        }
        if (charged != 0) memory.budget->uncharge(abi::Resource::pages, charged);
        memory.clear_up();
    }

    static void destruct(Object& object) { static_cast<MemoryObject&>(object).~MemoryObject(); }
};

const ObjectKind MemoryObject::memory_object_kind = {
    .type = abi::ObjectType::memory,
    .detach = MemoryEnd::detach,
    .die = MemoryEnd::die,
    .destruct = MemoryEnd::destruct,
};

// Frees up to chunk_items frames or some tables; true when nothing is left. Nobody else knows the
// object any more, but a step of make_private() may just be finding out.
bool MemoryObject::free_some() {
    uint32_t frames[abi::chunk_items];
    unsigned count;
    {
        SpinGuard guard(lock_);
        count = directory_.take(work_cursor_, pages_, frames, 16 * abi::chunk_items);
        present_ -= count;
    }
    for (unsigned i = 0; i < count; ++i) drop_frame(frames[i]);
    if (work_cursor_ != pages_) return false;
    SpinGuard guard(lock_);
    return directory_.free_tables(tables_per_step);
}

Work::Step MemoryObject::free_step(Work& work) {
    MemoryObject& memory = *static_cast<OwnWork&>(work).object;
    if (!memory.free_some()) return Work::Step::more;
    finish_retire(memory);
    return Work::Step::done;
}

// --- clearing up after the payer's death
// ----------------------------------------------------------

// Pins that `owner` had in this object, whose payer died, went.
void MemoryObject::pins_gone(MemoryObject& owner) {
    clear_up();
    if (&owner == this) return;
    bool last;
    {
        SpinGuard guard(lock_);
        last = owner.owned_pins_ == 0;
    }
    if (last) MemoryEnd::leave_root(owner);
}

// Queues the work, or lets it go round once more. Holds a reference while it is queued.
void MemoryObject::clear_up() {
    {
        SpinGuard guard(lock_);
        work_again_ = true;
        if (work_queued_) return;
        work_queued_ = true;
    }
    retain(*this);
    // The payer's destruction waits for this: when it has ended, the pages are free.
    budget->note_ending();
    work_.step = clear_up_step;
    work_.priority = clearing_priority;
    reap(work_);
}

Work::Step MemoryObject::clear_up_step(Work& work) {
    MemoryObject& memory = *static_cast<OwnWork&>(work).object;
    {
        SpinGuard guard(memory.lock_);
        if (memory.work_again_) {
            memory.work_again_ = false;
            memory.work_cursor_ = 0;
        }
    }
    if (!memory.cut_ranges_off() || !memory.move_payments() || !memory.free_uncovered()) {
        return Work::Step::more;
    }
    {
        SpinGuard guard(memory.lock_);
        if (memory.work_again_) return Work::Step::more;
        memory.work_queued_ = false;
    }
    memory.budget->note_ended();
    release(memory);
    return Work::Step::done;
}

// Takes ranges off the list; those without pins lose their root now, the others with the last pin.
bool MemoryObject::cut_ranges_off() {
    for (unsigned i = 0; i < abi::chunk_items; ++i) {
        {
            SpinGuard guard(lock_);
            MemoryObject* range = ranges_.front();
            if (range == nullptr) return true;
            unlink_range_locked(*range);
            if (range->owned_pins_ != 0) continue;
            range->root_.store(nullptr, std::memory_order_release);
        }
        // The reference that the range had.
        release(*this);
    }
    return false;
}

void MemoryObject::unlink_range_locked(MemoryObject& range) {
    Ranges::remove(range);
    --range_count_;
}

// Reservations become charges. A mapper that has no pages left keeps its reservation as payment.
bool MemoryObject::move_payments() {
    SpinGuard guard(lock_);
    for (MappingNode& node : mappings_) {
        if (!node.is_region) continue;
        auto& region = static_cast<Region&>(node);
        if (region.payment != RegionPayment::reserved) continue;
        Budget& mapper = region.space->budget();
        if (!mapper.charge(abi::Resource::pages, region.pages()).ok()) continue;
        mapper.uncharge(abi::Resource::reserved_pages, region.pages());
        region.payment = RegionPayment::pages;
    }
    return true;
}

// Moves `page` towards the next run of pages that no mapping has; returns the end of the run at it,
// which may be empty.
uint64_t MemoryObject::uncovered_run_locked(uint64_t& page) {
    // Mappings overlap and have no order, so each one that reaches over `page` moves it on. One
    // round only: if `page` moved, others may have to move it further.
    const uint64_t from = page;
    for (MappingNode& node : mappings_) {
        if (!node.is_region || !static_cast<Region&>(node).has_page(page)) continue;
        page = static_cast<Region&>(node).end_page();
    }
    if (page != from) return page;
    uint64_t end = pages_;
    for (MappingNode& node : mappings_) {
        if (!node.is_region) continue;
        const auto& region = static_cast<Region&>(node);
        if (region.first >= page && region.first < end) end = region.first;
    }
    return end;
}

bool MemoryObject::free_uncovered() {
    if (!has_directory()) return true;
    uint32_t frames[abi::chunk_items];
    unsigned count = 0;
    bool finished;
    {
        SpinGuard guard(lock_);
        const uint64_t end = uncovered_run_locked(work_cursor_);
        for (unsigned i = 0; i < 16 * abi::chunk_items && work_cursor_ < end; ++i) {
            if (count == abi::chunk_items) break;
            const uint64_t next = directory_.skip_missing(work_cursor_, end);
            const uint32_t frame = next == work_cursor_ ? directory_.find(work_cursor_) : 0;
            // Pinned pages stay until they are unpinned.
            if (frame != 0 && !needs_copy_locked(frame)) {
                uint64_t cursor = work_cursor_;
                count += directory_.take(cursor, cursor + 1, {&frames[count], 1}, 1);
            }
            work_cursor_ = next == work_cursor_ ? work_cursor_ + 1 : next;
        }
        present_ -= count;
        finished = work_cursor_ >= pages_;
    }
    for (unsigned i = 0; i < count; ++i) drop_frame(frames[i]);
    return finished;
}

}  // namespace annulus::kernel
