// SPDX-License-Identifier: MIT
// AddressSpace: what a process sees: regions of memory objects and the page table made from them.
//
// Pages enter the page table at the first touch, with up to 16 neighbours that exist already; the
// page table is only a cache of the regions. A region holds a reference to its memory object.
//
// A region that may be written never gets a translation to a page shared with a clone: the first
// touch, even for reading, makes the page private. So most pages are made private while no
// translation to them exists, and nobody has to wait. (Clones of memory that is mapped already
// leave such translations behind, without the right to write.)
//
// An unmapped region keeps its addresses until a grace period has dropped all translations; then it
// gives up its memory by itself. When no other CPU has the page table loaded, that is at once.
// Tables of the page table are freed with the address space. Locking: `lock_` (rank
// `address_space`) guards regions and page table. Never held during a copy from or to user memory.
#pragma once

#include "abi/records.h"
#include "arch/page_table.h"
#include "kernel/memory/address_map.h"
#include "kernel/memory/memory_object.h"
#include "kernel/memory/region.h"

namespace annulus::kernel {

// Hook: true when a CPU other than this one has loaded the page table, or may be about to use
// cached translations of it. The caller has changed the page table before.
bool loaded_elsewhere(arch::PhysicalAddress root);

class AddressSpace {
public:
    // Page tables are charged to `budget`, which must outlive the address space. `seed` chooses
    // where regions go when the caller names no address. no_budget, no_memory.
    static Result<void> create(AddressSpace& space, Budget& budget, uint64_t seed);
    AddressSpace() = default;
    AddressSpace(const AddressSpace&) = delete;
    AddressSpace& operator=(const AddressSpace&) = delete;

    // Maps memory; `flags` are abi::map_*; protect may later give what is in `allowed` (read,
    // write, execute), which includes the flags. Mapping another budget's memory charges
    // reserved_pages here. Returns the address. Errors, in this order (details: operands of
    // process.map.map): not_supported, bad_argument, permission (write + execute, or not allowed),
    // out_of_range, no_budget, no_memory, limit, closed (the memory's payer died), overlap (fixed),
    // no_memory (no gap is long enough), wrong_state (the address space is being destroyed),
    // revoked. `lease` is the handle's: revocable memory is unmapped when it ends.
    Result<uint64_t> map(MemoryObject& memory, uint64_t offset, uint64_t length, uint64_t address,
                         uint64_t flags, uint64_t allowed, Lease lease = 0);
    // Both work on at most abi::chunk_items pages' entries a call and return the address they
    // reached; the caller goes on from there (preemption point between). `flush` is set when
    // translations must be dropped on other CPUs before anybody may rely on the change: the caller
    // then waits for a grace period with flush, after which the addresses are free again.
    // unmap: holes are no error. no_budget, no_memory, limit (a region had to be split).
    Result<uint64_t> unmap(uint64_t address, uint64_t end, bool& flush);
    // not_supported, bad_argument, permission, out_of_range (a hole), and unmap's. What lies below
    // the place of an error has been changed.
    Result<uint64_t> protect(uint64_t address, uint64_t end, uint64_t flags, bool& flush);

    // A user-mode or user-copy fault at `address`. ok: the page is there now, try again.
    // bad_address: not mapped; permission: mapped without this access; no_budget, no_memory.
    // busy: the page waits for a grace period: a user-mode access is simply to be tried again, once
    // the kernel has been left; a copy by the kernel has to fail.
    Result<void> resolve_fault(uint64_t address, bool write, bool execute);

    // Takes a chunk of the region at `address` down, if its lease has ended; it then goes by itself
    // after a grace period. Called by the reaper until the region is gone (lease.h).
    void unmap_revoked(uint64_t address);

    // Where the region that holds the address begins; false: nothing is mapped there. For reports.
    bool find_mapping(uint64_t address, uint64_t& begin);

    // Takes everything down, at most abi::chunk_items pages a call; true when done. The address
    // space is loaded on no CPU any more.
    bool destroy_some();

    arch::PhysicalAddress root() const { return root_; }
    uint64_t mapped_pages() const {
        // Relaxed: a figure for reports.
        return mapped_pages_.load(std::memory_order_relaxed);
    }
    Budget& budget() const { return *budget_; }

    // --- for MemoryObject, without its lock
    // -------------------------------------------------------- In each, `address` is where a region
    // showed the page; nothing happens if that is over.

    // Makes a page private through the one region that has it. busy: not in one step.
    Result<void> make_private(MemoryObject& memory, uint64_t index, uint64_t address);
    // Removes the translation of a page.
    void remove_translation(MemoryObject& memory, uint64_t index, uint64_t address);
    // Takes the right to write from the translations of `count` pages.
    void withhold_write(MemoryObject& memory, uint64_t first, uint64_t address, uint64_t count);

private:
    // How the page table gets its tables.
    struct Tables {
        Budget* budget = nullptr;
        uint64_t* entries(arch::PhysicalAddress table);
        Result<arch::PhysicalAddress> allocate_table();
        void free_table(arch::PhysicalAddress table);
    };
    using Table = arch::PageTable<Tables>;

    Table table() { return Table(tables_, root_); }
    Region* find_locked(uint64_t address) const REQUIRES(lock_) {
        return static_cast<Region*>(map_.find(address));
    }
    // The first region that ends above the address, or null.
    Region* first_locked(uint64_t address) const REQUIRES(lock_) {
        return static_cast<Region*>(map_.first_above(address));
    }
    Region* region_with(const MemoryObject& memory, uint64_t index, uint64_t address)
        REQUIRES(lock_);
    Result<uint64_t> place(Region& region, uint64_t address, uint64_t length, bool fixed);
    Result<uint64_t> choose_locked(uint64_t length) REQUIRES(lock_);
    Result<Region*> new_region();
    void free_region(Region& region);
    Result<void> reserve(const MemoryObject& memory, Region& region, uint64_t pages);
    Result<Region*> cut_locked(Region& region, uint64_t begin, uint64_t end) REQUIRES(lock_);
    Result<Region*> split_locked(Region& region, uint64_t address) REQUIRES(lock_);
    bool take_down_locked(Region& region) REQUIRES(lock_);
    bool forget_translations_locked(Region& region) REQUIRES(lock_);
    static void finish_unmapping(Region& region);
    void narrow_locked(uint64_t address, uint64_t end, uint8_t access) REQUIRES(lock_);
    Result<void> map_block_locked(const Region& region, uint64_t address,
                                  arch::PhysicalAddress physical) REQUIRES(lock_);
    static void region_gone(GraceItem& item);

    SpinLock lock_{LockRank::address_space};
    AddressMap map_ GUARDED_BY(lock_);
    Tables tables_;
    Budget* budget_ = nullptr;
    arch::PhysicalAddress root_ = 0;
    uint64_t random_ GUARDED_BY(lock_) = 0;  // state of the generator of addresses
    uint64_t begin_ = 0;                     // chosen addresses lie from here up
    uint64_t destroy_cursor_ = abi::user_begin;
    bool destroying_ GUARDED_BY(lock_) = false;
    std::atomic<uint64_t> mapped_pages_{0};
    std::atomic<uint32_t> gone_{0};  // regions that wait for a grace period
};

}  // namespace annulus::kernel
