// SPDX-License-Identifier: MIT
// Faults: pages enter the page table; and what memory objects do to the page tables they are in.
#include "arch/tlb.h"
#include "base/align.h"
#include "kernel/memory/address_space.h"
#include "kernel/memory/frames.h"

#include <bit>

namespace annulus::kernel {

namespace {
// Pages that a fault maps at most: those of one aligned block of this size around the address.
constexpr uint64_t fault_block = MemoryObject::run_pages * arch::page_size;
// A page may be shared again, or its region vanish, between two looks; then the access is repeated.
constexpr unsigned fault_attempts = 3;

// What a region's translations allow. Pages that are shared with a clone enter regions without the
// right to write only.
arch::PageFlags flags_of(const Region& region) {
    arch::PageFlags flags = arch::PageFlags::read | arch::PageFlags::user;
    if (region.access & abi::map_write) flags = flags | arch::PageFlags::write;
    if (region.access & abi::map_execute) flags = flags | arch::PageFlags::execute;
    if (region.memory->is_device()) flags = flags | arch::PageFlags::uncached;
    return flags;
}
}  // namespace

Result<void> AddressSpace::resolve_fault(uint64_t address, bool write, bool execute) {
    if (address < abi::user_begin || address >= abi::user_end) return Error::bad_address;
    address = align_down(address, arch::page_size);
    for (unsigned attempt = 0; attempt < fault_attempts; ++attempt) {
        Ref<MemoryObject> memory;
        uint64_t index;
        {
            SpinGuard guard(lock_);
            const Region* region = find_locked(address);
            if (region == nullptr || region->state != RegionState::live) return Error::bad_address;
            // Its memory was revoked, and the reaper has not been here yet.
            if (!lease_valid(region->lease)) return Error::bad_address;
            const bool writable = region->access & abi::map_write;
            if (write && !writable) return Error::permission;
            if (execute && !(region->access & abi::map_execute)) return Error::permission;
            index = region->page_at(address);
            const Result<MappablePage> page = region->memory->page_to_map(index, true);
            if (page.ok() && !(page->shared && writable)) {
                return map_block_locked(*region, address, page->address);
            }
            if (!page.ok() && page.error() != Error::busy) return page.status();
            memory = Ref<MemoryObject>::share(*region->memory);
        }
        TRY(memory->make_private(index));
    }
    return {};
}

bool AddressSpace::find_mapping(uint64_t address, uint64_t& begin) {
    SpinGuard guard(lock_);
    const Region* region = find_locked(address);
    if (region == nullptr) return false;
    begin = region->begin;
    return true;
}

// Enters a page, or gives the one that is there the region's access; and with it what exists
// already of the block around it, to save faults. All of these are in one table.
Result<void> AddressSpace::map_block_locked(const Region& region, uint64_t address,
                                            arch::PhysicalAddress physical) {
    Table::SmallPages entries = TRY(table().small_pages(address, flags_of(region)));
    if (!entries.present(address)) {
        entries.enter(address, physical);
    } else {
        kernel_assert(entries.physical(address) == physical,
                      "a translation to a page that was replaced");
        entries.protect(address);
        // The fault came from an old cached translation, which other CPUs may have, too: they fault
        // in their turn.
        arch::invalidate_page(address);
    }
    const uint64_t block = align_down(address, fault_block);
    const uint64_t begin = block > region.begin ? block : region.begin;
    const uint64_t end = block + fault_block < region.end ? block + fault_block : region.end;
    const uint32_t missing =
        entries.missing(begin, static_cast<unsigned>((end - begin) / arch::page_size));
    if (missing == 0) return {};
    MemoryObject::Run pages;
    uint32_t there = region.memory->pages_to_map(region.page_at(begin), missing, pages);
    for (; there != 0; there &= there - 1) {
        const auto i = static_cast<unsigned>(std::countr_zero(there));
        if (pages[i].shared && (region.access & abi::map_write)) continue;
        entries.enter(begin + i * arch::page_size, pages[i].address);
    }
    return {};
}

// --- for MemoryObject
// -----------------------------------------------------------------------------

// The live region that still shows the page at `address`, or null.
Region* AddressSpace::region_with(const MemoryObject& memory, uint64_t index, uint64_t address) {
    Region* region = find_locked(address);
    if (region == nullptr || region->memory != &memory) return nullptr;
    return region->page_at(address) == index ? region : nullptr;
}

Result<void> AddressSpace::make_private(MemoryObject& memory, uint64_t index, uint64_t address) {
    SpinGuard guard(lock_);
    const Region* region = region_with(memory, index, address);
    // Another look will tell.
    if (region == nullptr) return {};
    // Pages that were unmapped may be cached until the grace period ends.
    if (region->state != RegionState::live) return Error::busy;
    const Result<arch::Mapping> old = table().query(address);
    if (!old.ok()) {
        // No translation was made since the last time that all were dropped.
        return memory.make_private_through(index, *region);
    }
    // Removed first, so that a CPU that loads the page table now finds nothing; then the question
    // who has loaded it. The fence and that CPU's load of the page table's root order the two.
    table().unmap(address).value();
    std::atomic_thread_fence(std::memory_order_seq_cst);
    Result<void> made = Error::busy;
    if (!loaded_elsewhere(root_)) made = memory.make_private_through(index, *region);
    if (made.ok()) {
        arch::invalidate_page(address);
    } else {
        // The table is there, so this cannot fail.
        table().map(address, old->physical, arch::PageSize::small, old->flags).value();
    }
    return made;
}

void AddressSpace::remove_translation(MemoryObject& memory, uint64_t index, uint64_t address) {
    SpinGuard guard(lock_);
    if (region_with(memory, index, address) == nullptr) return;
    if (table().query(address).ok()) table().unmap(address).value();
}

void AddressSpace::withhold_write(MemoryObject& memory, uint64_t first, uint64_t address,
                                  uint64_t count) {
    SpinGuard guard(lock_);
    for (uint64_t i = 0; i < count; ++i, address += arch::page_size) {
        if (region_with(memory, first + i, address) == nullptr) continue;
        const Result<arch::Mapping> mapping = table().query(address);
        if (!mapping.ok() || !has(mapping->flags, arch::PageFlags::write)) continue;
        const auto flags = static_cast<arch::PageFlags>(
            static_cast<uint8_t>(mapping->flags) & ~static_cast<uint8_t>(arch::PageFlags::write));
        table().protect(address, flags).value();
    }
}

}  // namespace annulus::kernel
