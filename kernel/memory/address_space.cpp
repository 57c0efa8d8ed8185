// SPDX-License-Identifier: MIT
// Making and taking down address spaces; mapping, unmapping and protecting ranges of them.
#include "kernel/memory/address_space.h"

#include "arch/tlb.h"
#include "base/align.h"
#include "kernel/memory/frames.h"

#include <optional>

namespace annulus::kernel {

namespace {

constexpr uint64_t access_flags = abi::map_read | abi::map_write | abi::map_execute;

// Unmapped pages on both sides of a region whose address the kernel chose: an overrun faults.
constexpr uint64_t guard_pages = 1;
// Chosen addresses begin in the middle of the user range, up to 2^40 above, and regions keep up to
// 16 pages more distance: enough to make guesses fail, little enough to keep page tables dense.
constexpr uint64_t choice_begin = uint64_t{1} << 45;
constexpr uint64_t choice_spread = uint64_t{1} << 40;
constexpr uint64_t distance_pages = 16;

// A region's end may free up to abi::chunk_items pages.
constexpr unsigned regions_per_step = 4;

// Translations of so many pages are dropped one by one; of more, all that the CPU has, at once.
constexpr uint64_t few_pages = 16;

// SplitMix64: one seed gives one sequence, so a run can be repeated.
uint64_t next_random(uint64_t& state) {
    uint64_t word = state += 0x9e3779b97f4a7c15;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
    word = (word ^ word >> 27) * 0x94d049bb133111eb;
    return word ^ word >> 31;
}

bool in_user_range(uint64_t address, uint64_t length) {
    return address >= abi::user_begin && address <= abi::user_end &&
           length <= abi::user_end - address;
}

// `index` is the flags' operand.
Result<void> check_access(uint64_t access, uint64_t allowed, uint16_t index) {
    if (!(access & abi::map_read)) return Status(Error::bad_argument, index);
    if ((access & abi::map_write) && (access & abi::map_execute)) return Error::permission;
    if (access & ~allowed) return Error::permission;
    return {};
}

}  // namespace

// --- page table's tables ------------------------------------------------------------------------

uint64_t* AddressSpace::Tables::entries(arch::PhysicalAddress table) {
    // Safety: a table, seen through the direct map.
    return reinterpret_cast<uint64_t*>(frame_pointer(frame_of(table)));
}

Result<arch::PhysicalAddress> AddressSpace::Tables::allocate_table() {
    TRY(budget->charge(abi::Resource::pages, 1));
    const Result<uint32_t> frame = allocate_frame(FrameContent::zeroed);
    if (frame.ok()) return frame_address(*frame);
    budget->uncharge(abi::Resource::pages, 1);
    return frame.status();
}

void AddressSpace::Tables::free_table(arch::PhysicalAddress table) {
    free_frame(frame_of(table));
    budget->uncharge(abi::Resource::pages, 1);
}

Result<void> AddressSpace::create(AddressSpace& space, Budget& budget, uint64_t seed) {
    space.budget_ = &budget;
    space.tables_.budget = &budget;
    space.root_ = TRY(Table::create_root(space.tables_, arch::kernel_page_table()));
    SpinGuard guard(space.lock_);
    space.random_ = seed;
    const uint64_t spread = next_random(space.random_) % choice_spread;
    space.begin_ = choice_begin + align_down(spread, arch::page_size);
    return {};
}

// --- regions
// --------------------------------------------------------------------------------------

Result<Region*> AddressSpace::new_region() {
    void* storage = TRY(budget_->allocate_bytes(sizeof(Region)));
    auto* region = new (storage) Region();
    region->space = this;
    return region;
}

void AddressSpace::free_region(Region& region) {
    unlease_region(region);
    region.~Region();
    budget_->free_bytes(&region, sizeof(Region));
}

Result<void> AddressSpace::reserve(const MemoryObject& memory, Region& region, uint64_t pages) {
    if (memory.budget == budget_) return {};
    TRY(budget_->charge(abi::Resource::reserved_pages, pages));
    region.payment = RegionPayment::reserved;
    return {};
}

Result<uint64_t> AddressSpace::map(MemoryObject& memory, uint64_t offset, uint64_t length,
                                   uint64_t address, uint64_t flags, uint64_t allowed,
                                   Lease lease) {
    if (flags & ~(access_flags | abi::map_fixed)) return Status(Error::not_supported, 4);
    const bool fixed = flags & abi::map_fixed;
    if (!is_aligned(offset, arch::page_size)) return Status(Error::bad_argument, 1);
    if (length == 0 || !is_aligned(length, arch::page_size)) return Status(Error::bad_argument, 2);
    if (!is_aligned(address, arch::page_size)) return Status(Error::bad_argument, 3);
    TRY(check_access(flags & access_flags, allowed, 4));
    if (!range_fits(offset, length, memory.pages() * arch::page_size)) return Error::out_of_range;
    if (fixed && !in_user_range(address, length)) return Error::out_of_range;
    const MemoryObject::Place at = TRY(memory.place());
    const uint64_t pages = length / arch::page_size;

    Region* region = TRY(new_region());
    region->memory = at.root;
    region->first = at.first + offset / arch::page_size;
    region->access = static_cast<uint8_t>(flags & access_flags);
    region->allowed = static_cast<uint8_t>(allowed & access_flags);
    if (memory.flags() & abi::memory_revocable) region->lease = lease;
    const Result<void> reserved = reserve(*at.root, *region, pages);
    const Result<uint64_t> placed = reserved.ok() ? place(*region, address, length, fixed)
                                                  : Result<uint64_t>(reserved.status());
    if (placed.ok()) return *placed;
    if (region->payment == RegionPayment::reserved) {
        budget_->uncharge(abi::Resource::reserved_pages, pages);
    }
    free_region(*region);
    return placed.status();
}

// Gives the region its addresses and links it everywhere; takes the memory's reference.
Result<uint64_t> AddressSpace::place(Region& region, uint64_t address, uint64_t length,
                                     bool fixed) {
    SpinGuard guard(lock_);
    if (destroying_) return Error::wrong_state;
    region.begin = address;
    region.end = address + length;
    Result<void> inserted = Error::overlap;
    if (fixed || (address != 0 && in_user_range(address, length))) {
        inserted = map_.insert(region);
    }
    if (!inserted.ok()) {
        if (fixed) return inserted.status();
        region.begin = TRY(choose_locked(length));
        region.end = region.begin + length;
        map_.insert(region).value();
    }
    Result<void> added = region.lease == 0 ? Result<void>() : lease_region(region);
    if (added.ok() && !try_retain(*region.memory)) {
        added = Error::closed;
    } else if (added.ok()) {
        added = region.memory->add_mapping(region);
        if (!added.ok()) release_later(*region.memory);
    }
    if (added.ok()) {
        // Relaxed: a figure.
        mapped_pages_.fetch_add(region.pages(), std::memory_order_relaxed);
        return region.begin;
    }
    map_.remove(region);
    return added.status();
}

Result<uint64_t> AddressSpace::choose_locked(uint64_t length) {
    const uint64_t distance = next_random(random_) % distance_pages;
    const uint64_t before = (guard_pages + distance) * arch::page_size;
    const uint64_t room = before + length + guard_pages * arch::page_size;
    const Result<uint64_t> gap = map_.find_gap(room, begin_);
    if (gap.ok()) return *gap + before;
    // The addresses below are the last resort.
    const Result<uint64_t> low = map_.find_gap(room, abi::user_begin);
    if (low.ok()) return *low + before;
    return Error::no_memory;
}

// Cuts a region in two at `address`, which lies inside it; returns the second part.
Result<Region*> AddressSpace::split_locked(Region& region, uint64_t address) {
    Region* second = TRY(new_region());
    second->memory = region.memory;
    second->access = region.access;
    second->allowed = region.allowed;
    second->begin = address;
    second->end = region.end;
    const Result<void> added = region.memory->add_split_mapping(region, *second);
    if (!added.ok()) {
        free_region(*second);
        return added.status();
    }
    retain(*region.memory);
    lease_part(region, *second);
    // The first part was shortened under the memory's lock; the rest follows at once.
    map_.insert(*second).value();
    return second;
}

// The part of a live region inside [begin, end), as a region of its own.
Result<Region*> AddressSpace::cut_locked(Region& region, uint64_t begin, uint64_t end) {
    Region* part = &region;
    if (begin > part->begin) part = TRY(split_locked(*part, begin));
    if (end < part->end) TRY(split_locked(*part, end));
    return part;
}

Result<uint64_t> AddressSpace::unmap(uint64_t address, uint64_t end, bool& flush) {
    if (!is_aligned(address | end, arch::page_size)) return Error::bad_argument;
    if (address > end || !in_user_range(address, end - address)) return Error::out_of_range;
    Region* region;
    {
        SpinGuard guard(lock_);
        region = first_locked(address);
        if (region == nullptr || region->begin >= end) return end;
        if (region->state == RegionState::gone) {
            flush = true;
            return region->end < end ? region->end : end;
        }
        if (region->state == RegionState::live) {
            region = TRY(cut_locked(*region, address, end));
        }
        const bool flush_before = flush;
        flush = true;
        if (!take_down_locked(*region)) return address;
        address = region->end;
        if (forget_translations_locked(*region)) flush = flush_before;
    }
    finish_unmapping(*region);
    return address < end ? address : end;
}

// Removes translations of a region that is live or unmapping, chunk by chunk; true: it is gone, and
// finish_unmapping() is due, without the lock.
bool AddressSpace::take_down_locked(Region& region) {
    if (region.state == RegionState::live) {
        region.state = RegionState::unmapping;
        region.cursor = region.begin;
        // Relaxed: a figure.
        mapped_pages_.fetch_sub(region.pages(), std::memory_order_relaxed);
    }
    const bool finished = table().clear(region.cursor, region.end, abi::chunk_items,
                                        Table::Tables::keep, [](uint64_t, const arch::Mapping&) {});
    if (!finished) return false;
    region.state = RegionState::gone;
    // Relaxed: read with acquire where it matters, at zero (destroy_some).
    gone_.fetch_add(1, std::memory_order_relaxed);
    return true;
}

// The region was taken down. True when no CPU has a translation of it any more, or can get one:
// those of this CPU are dropped, and no other one has loaded the page table, which took from each
// that ever had what it kept.
bool AddressSpace::forget_translations_locked(Region& region) {
    // The fence and the other CPUs' loads of the page table's root order the region's last
    // translation and the question.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (loaded_elsewhere(root_)) return false;
    if (region.pages() > few_pages) {
        arch::invalidate_user_pages();
    } else {
        for (uint64_t at = region.begin; at < region.end; at += arch::page_size) {
            arch::invalidate_page(at);
        }
    }
    region.forgotten = true;
    return true;
}

// Without locks. The region is freed, now or after a grace period.
void AddressSpace::finish_unmapping(Region& region) {
    if (region.forgotten) return region_gone(region);
    region.done = region_gone;
    region.flush = true;
    grace_after(region);
}

void AddressSpace::unmap_revoked(uint64_t address) {
    Region* region;
    {
        SpinGuard guard(lock_);
        region = find_locked(address);
        if (region == nullptr || lease_valid(region->lease)) return;
        const bool gone = region->state == RegionState::gone;
        if (!gone && !take_down_locked(*region)) return;
        forget_revoked(*region);
        if (gone) return;
        forget_translations_locked(*region);
    }
    finish_unmapping(*region);
}

// No CPU has a translation of the region any more.
void AddressSpace::region_gone(GraceItem& item) {
    auto& region = static_cast<Region&>(item);
    AddressSpace& space = *region.space;
    MemoryObject& memory = *region.memory;
    memory.remove_mapping(region);
    {
        SpinGuard guard(space.lock_);
        space.map_.remove(region);
    }
    space.free_region(region);
    release(memory);
    // Release: pairs with the acquire in destroy_some(). The address space may go now.
    space.gone_.fetch_sub(1, std::memory_order_release);
}

Result<uint64_t> AddressSpace::protect(uint64_t address, uint64_t end, uint64_t flags,
                                       bool& flush) {
    if (flags & ~access_flags) return Status(Error::not_supported, 2);
    if (!is_aligned(address | end, arch::page_size)) return Error::bad_argument;
    if (address > end || !in_user_range(address, end - address)) return Error::out_of_range;
    if (address == end) return end;
    const auto access = static_cast<uint8_t>(flags);
    SpinGuard guard(lock_);
    Region* region = find_locked(address);
    if (region == nullptr || region->state != RegionState::live) return Error::out_of_range;
    TRY(check_access(flags, region->allowed, 2));
    bool takes = true;
    if (region->access != access) {
        region = TRY(cut_locked(*region, address, end));
        takes = (region->access & ~access) != 0;
        region->access = access;
    }
    const uint64_t stop = region->end < end ? region->end : end;
    if (!takes) return stop;
    // Even if no translation has too much: another change may have taken it a moment ago, and wait
    // for its own flush.
    flush = true;
    const uint64_t limit = address + abi::chunk_items * arch::page_size;
    narrow_locked(address, stop < limit ? stop : limit, access);
    return stop < limit ? stop : limit;
}

// Takes from translations what `access` does not give. More is given by faults.
void AddressSpace::narrow_locked(uint64_t address, uint64_t end, uint8_t access) {
    arch::PageFlags keep =
        arch::PageFlags::read | arch::PageFlags::user | arch::PageFlags::uncached;
    if (access & abi::map_write) keep = keep | arch::PageFlags::write;
    if (access & abi::map_execute) keep = keep | arch::PageFlags::execute;
    for (; address < end; address += arch::page_size) {
        const Result<arch::Mapping> mapping = table().query(address);
        if (!mapping.ok()) continue;
        const auto narrowed = static_cast<arch::PageFlags>(static_cast<uint8_t>(mapping->flags) &
                                                           static_cast<uint8_t>(keep));
        if (narrowed == mapping->flags) continue;
        table().protect(address, narrowed).value();
    }
}

bool AddressSpace::destroy_some() {
    {
        SpinGuard guard(lock_);
        if (root_ == 0) return true;
        destroying_ = true;
        const bool cleared =
            table().clear(destroy_cursor_, abi::user_end, abi::chunk_items, Table::Tables::free,
                          [](uint64_t, const arch::Mapping&) {});
        if (!cleared) return false;
    }
    for (unsigned i = 0; i < regions_per_step; ++i) {
        Region* region;
        {
            SpinGuard guard(lock_);
            region = first_locked(0);
            while (region != nullptr && region->state == RegionState::gone) {
                region = first_locked(region->end);
            }
            if (region == nullptr) break;
            // Nobody can find it any more, except through the memory's list of mappings.
            map_.remove(*region);
        }
        if (region->state == RegionState::live) {
            mapped_pages_.fetch_sub(region->pages(), std::memory_order_relaxed);
        }
        region->memory->remove_mapping(*region);
        release(*region->memory);
        free_region(*region);
        if (i + 1 == regions_per_step) return false;
    }
    // Acquire: pairs with the release in region_gone().
    if (gone_.load(std::memory_order_acquire) != 0) return false;
    SpinGuard guard(lock_);
    table().free_root();
    root_ = 0;
    return true;
}

}  // namespace annulus::kernel
