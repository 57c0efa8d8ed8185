// SPDX-License-Identifier: MIT
// Lease cells: the directory that finds them, who pays, and the lock around the tree.
//
// A directory entry serves 1024 cells and is made when it is first needed, from pages that are
// never given back: lease_pages_max times 5 at most. A cell's record comes from the heap and goes
// back to it; its index is used again with a later epoch, and retired when the epoch would come
// round.
#include "kernel/object/lease.h"

#include "kernel/assert.h"
#include "kernel/lock/spin_lock.h"
#include "kernel/memory/address_space.h"
#include "kernel/memory/kernel_memory.h"
#include "kernel/object/budget.h"
#include "kernel/object/lease_tree.h"
#include "kernel/object/process.h"

#include <new>

namespace annulus::kernel {

constinit std::atomic<LeaseEpochPage*> lease_epochs[lease_pages_max] = {};

namespace {

constexpr uint32_t cells_per_page = 1u << lease_page_shift;
constexpr uint32_t epoch_last = 0xfffffffe;

// What a directory entry knows of an index: its cell, or the next free index.
struct LeaseSlot {
    LeaseCell* cell;
    uint32_t next_free;
};
struct LeaseSlotPage {
    LeaseSlot slot[cells_per_page];
};
constexpr uint32_t slot_page_order = 2;
static_assert(sizeof(LeaseSlotPage) <= abi::page_size << slot_page_order);

constinit SpinLock lease_lock{LockRank::lease};
constinit LeaseTree tree;
constinit LeaseSlotPage* slots[lease_pages_max] = {};
constinit uint32_t first_free = 0;  // index 0 is never a cell's
constinit uint32_t cells_in_use = 0;
constinit uint32_t pages_in_use = 0;
constinit Work revoke_work;
constinit bool revoke_queued = false;
// Regions whose lease has ended, and that are still to be taken down.
constinit IntrusiveList<Region, RegionOfLease> revoked_regions;
constinit Work region_work;
constinit bool regions_queued = false;

LeaseSlot& slot_at(uint32_t index) REQUIRES(lease_lock) {
    return slots[index >> lease_page_shift]->slot[index & (cells_per_page - 1)];
}

std::atomic<uint32_t>& epoch_at(uint32_t index) {
    LeaseEpochPage* page = lease_epochs[index >> lease_page_shift].load(std::memory_order_relaxed);
    return page->epoch[index & (cells_per_page - 1)];
}

// The live cell that a lease names, or null.
LeaseCell* find_locked(Lease lease) REQUIRES(lease_lock) {
    if (lease == 0 || !lease_valid(lease)) return nullptr;
    return slot_at(static_cast<uint32_t>(lease)).cell;
}

// A page's worth of new indices. limit, no_memory.
Result<void> grow_locked() REQUIRES(lease_lock) {
    if (pages_in_use == lease_pages_max) return Error::limit;
    const PhysicalPage epochs = TRY(page_allocator().allocate_zeroed());
    auto block = page_allocator().allocate(slot_page_order);
    if (!block.ok()) {
        page_allocator().free(epochs, 0);
        return block.status();
    }
    const uint32_t base = pages_in_use << lease_page_shift;
    // Safety: fresh pages of the right size, used for nothing else.
    slots[pages_in_use] = new (page_allocator().pointer(*block)) LeaseSlotPage();
    auto* page = new (page_allocator().pointer(epochs)) LeaseEpochPage();
    for (uint32_t i = cells_per_page; i-- > 0;) {
        page->epoch[i].store(1, std::memory_order_relaxed);
        if (base + i == 0) continue;
        slots[pages_in_use]->slot[i].next_free = first_free;
        first_free = base + i;
    }
    // Release: whoever gets a lease of this page finds it filled.
    lease_epochs[pages_in_use++].store(page, std::memory_order_release);
    return {};
}

// Up to chunk_items pages of one region.
Work::Step take_regions_down(Work&) {
    AddressSpace* space;
    uint64_t address;
    {
        SpinGuard guard(lease_lock);
        const Region* region = revoked_regions.front();
        if (region == nullptr) {
            regions_queued = false;
            return Work::Step::done;
        }
        // The address space lives until the kernel is left: its region is in the list. The region
        // may be gone by the time that it is looked for.
        space = region->space;
        address = region->address();
    }
    space->unmap_revoked(address);
    return Work::Step::more;
}

void queue_regions_locked() REQUIRES(lease_lock) {
    if (regions_queued || revoked_regions.empty()) return;
    regions_queued = true;
    region_work.step = take_regions_down;
    region_work.priority = abi::priority_count - 1;
    reap(region_work);
}

// Frees a cell (or none) that is in no list of the tree, and everything above it that has become
// useless.
void free_locked(LeaseCell* cell) REQUIRES(lease_lock) {
    while (cell != nullptr) {
        LeaseCell* parent = cell->parent;
        Budget& budget = *cell->budget;
        const uint32_t index = cell->index;
        revoked_regions.splice_back(cell->regions);
        queue_regions_locked();
        budget.leases.remove(*cell);
        cell->~LeaseCell();
        budget.free_bytes(cell, sizeof(LeaseCell));
        budget.uncharge(abi::Resource::leases, 1);
        release_later(budget);
        LeaseSlot& slot = slot_at(index);
        slot.cell = nullptr;
        --cells_in_use;
        if (epoch_at(index).load(std::memory_order_relaxed) < epoch_last) {
            slot.next_free = first_free;
            first_free = index;
        }
        cell = parent == nullptr ? nullptr : tree.take_useless(*parent);
    }
}

// Takes revoked cells apart; true when none is left.
bool free_dead_locked(unsigned limit) REQUIRES(lease_lock) {
    while (LeaseCell* cell = tree.take_dead(limit)) free_locked(cell);
    return !tree.dying();
}

Work::Step revoke_step(Work&) {
    SpinGuard guard(lease_lock);
    if (!free_dead_locked(abi::chunk_items)) return Work::Step::more;
    revoke_queued = false;
    return Work::Step::done;
}

// Leaves the rest of a revocation to the reaper.
void continue_revoking_locked() REQUIRES(lease_lock) {
    if (revoke_queued) return;
    revoke_queued = true;
    revoke_work.step = revoke_step;
    revoke_work.priority = abi::priority_count - 1;
    reap(revoke_work);
}

Result<Lease> enter_locked(LeaseCell& cell, Lease parent) REQUIRES(lease_lock) {
    LeaseCell* above = find_locked(parent);
    if (parent != 0 && above == nullptr) return Error::revoked;
    if (first_free == 0) TRY(grow_locked());
    const uint32_t index = first_free;
    cell.index = index;
    cell.epoch = &epoch_at(index);
    TRY(tree.add(cell, above));
    LeaseSlot& slot = slot_at(index);
    first_free = slot.next_free;
    slot.cell = &cell;
    ++cells_in_use;
    cell.budget->leases.push_back(cell);
    return uint64_t{cell.epoch->load(std::memory_order_relaxed)} << 32 | index;
}

}  // namespace

Result<Lease> create_lease(Lease parent, Budget& budget, const Process* maker) {
    if (!try_retain(budget)) return Error::wrong_state;
    // From here on each failure gives back what came before it.
    const auto charged = budget.charge(abi::Resource::leases, 1);
    auto storage =
        charged.ok() ? budget.allocate_bytes(sizeof(LeaseCell)) : Result<void*>(charged.status());
    Status failure = storage.status();
    if (storage.ok()) {
        // Safety: fresh memory of the right size and alignment, owned by nobody else.
        auto* cell = new (*storage) LeaseCell();
        cell->budget = &budget;
        cell->maker = maker->id();
        cell->uses = 1;
        {
            SpinGuard guard(lease_lock);
            // A budget that is being destroyed looks for its cells under this lock, later.
            const auto lease = budget.destroyed() ? Result<Lease>(Error::wrong_state)
                                                  : enter_locked(*cell, parent);
            if (lease.ok()) return *lease;
            failure = lease.status();
        }
        budget.free_bytes(cell, sizeof(LeaseCell));
    }
    if (charged.ok()) budget.uncharge(abi::Resource::leases, 1);
    release_later(budget);
    return failure;
}

void retain_lease(Lease lease) {
    if (lease == 0) return;
    SpinGuard guard(lease_lock);
    if (LeaseCell* cell = find_locked(lease)) ++cell->uses;
}

void release_lease(Lease lease) {
    if (lease == 0) return;
    SpinGuard guard(lease_lock);
    if (LeaseCell* cell = find_locked(lease)) free_locked(tree.drop_use(*cell));
}

Result<bool> revoke_lease(Lease lease, const Process* maker) {
    SpinGuard guard(lease_lock);
    const auto index = static_cast<uint32_t>(lease);
    // The lease comes from a program: any number.
    if (index == 0 || index >> lease_page_shift >= pages_in_use) return Error::not_found;
    LeaseCell* cell = find_locked(lease);
    if (cell == nullptr || cell->maker != maker->id()) return Error::not_found;
    free_locked(tree.revoke(*cell));
    const bool done = free_dead_locked(abi::chunk_items);
    if (!done) continue_revoking_locked();
    return done;
}

bool revoke_some() {
    SpinGuard guard(lease_lock);
    return free_dead_locked(abi::chunk_items);
}

bool revoke_leases_of(Budget& budget, uint32_t limit) {
    SpinGuard guard(lease_lock);
    for (; limit > 0; --limit) {
        LeaseCell* cell = budget.leases.front();
        if (cell == nullptr) return true;
        free_locked(tree.revoke(*cell));
        // A cell stays listed until it is freed; one with many children waits for them.
        if (!free_dead_locked(abi::chunk_items)) return false;
    }
    return budget.leases.empty();
}

Result<void> lease_region(Region& region) {
    SpinGuard guard(lease_lock);
    LeaseCell* cell = find_locked(region.lease);
    if (cell == nullptr) return Error::revoked;
    ++cell->uses;
    cell->regions.push_back(region);
    return {};
}

void lease_part(const Region& whole, Region& part) {
    if (whole.lease == 0) return;
    SpinGuard guard(lease_lock);
    part.lease = whole.lease;
    if (LeaseCell* cell = find_locked(part.lease)) {
        ++cell->uses;
        cell->regions.push_back(part);
    } else {
        revoked_regions.push_back(part);
        queue_regions_locked();
    }
}

void unlease_region(Region& region) {
    if (region.lease == 0) return;
    SpinGuard guard(lease_lock);
    // Linked to a live cell, it is a use; one whose lease has ended may be in the other list.
    LeaseCell* cell = find_locked(region.lease);
    using Regions = IntrusiveList<Region, RegionOfLease>;
    const bool linked = Regions::is_linked(region);
    if (linked) Regions::remove(region);
    if (linked && cell != nullptr) free_locked(tree.drop_use(*cell));
}

void forget_revoked(Region& region) {
    SpinGuard guard(lease_lock);
    using Regions = IntrusiveList<Region, RegionOfLease>;
    if (Regions::is_linked(region)) Regions::remove(region);
}

void forget_lease_pages() {
    SpinGuard guard(lease_lock);
    kernel_assert(cells_in_use == 0, "a lease outlives its machine");
    for (uint32_t i = 0; i < pages_in_use; ++i) {
        slots[i] = nullptr;
        lease_epochs[i].store(nullptr, std::memory_order_relaxed);
    }
    first_free = 0;
    pages_in_use = 0;
}

}  // namespace annulus::kernel
