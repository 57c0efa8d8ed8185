// SPDX-License-Identifier: MIT
// Leases: how handles are revoked. A handle entry is valid while its lease cell's epoch matches.
//
// A lease is cell index (low 32 bits) | epoch (high 32 bits); index 0 means "never revoked", so
// most look-ups pay one compare. Cells form a tree: a revocable duplicate of a handle under lease L
// gets a cell that is a child of L's. Revoking a cell kills its epoch at once and its descendants
// in chunks of abi::chunk_items. A cell is charged (leases, kernel bytes) to the budget of the
// process that made it and ends when it is revoked, or when no handle entry and no child counts on
// it any more. Entries that are left under a revoked lease are recognised by their epoch and count
// for nothing. Locking: one lock (rank `lease`) for the tree; the epoch test takes none.
#pragma once

#include "base/result.h"

#include <stdint.h>

#include <atomic>

namespace annulus::kernel {

class Budget;
class Process;
struct Region;
struct RegionOfLease;

using Lease = uint64_t;

inline constexpr unsigned lease_page_shift = 10;   // cells on one page of the directory
inline constexpr unsigned lease_pages_max = 1024;  // 1 M cells in all

// The epoch words, apart from the rest of a cell, so that the test touches one word.
struct LeaseEpochPage {
    std::atomic<uint32_t> epoch[1u << lease_page_shift];
};
extern std::atomic<LeaseEpochPage*> lease_epochs[lease_pages_max];

// True while the lease holds.
inline bool lease_valid(Lease lease) {
    const uint32_t cell = static_cast<uint32_t>(lease);
    if (cell == 0) return true;
    const LeaseEpochPage* page =
        lease_epochs[cell >> lease_page_shift].load(std::memory_order_relaxed);
    // Acquire: pairs with the release in revoke_lease(); a use after a revoke that returned is seen
    // to be late.
    return page->epoch[cell & ((1u << lease_page_shift) - 1)].load(std::memory_order_acquire) ==
           static_cast<uint32_t>(lease >> 32);
}

// A new cell under `parent` (0: none), paid by `budget`, made by `maker`. It starts with one use,
// that of the handle about to be made. no_budget, too_deep, limit, revoked (the parent is).
Result<Lease> create_lease(Lease parent, Budget& budget, const Process* maker);

// A handle entry under the lease appears or goes. Uses of lease 0 are not counted.
void retain_lease(Lease lease);
void release_lease(Lease lease);

// Kills the cell, if `maker` made it, and up to chunk_items descendants; the reaper does the rest.
// True when there is none. not_found. Makers are known by their process's number, which is never
// used again.
Result<bool> revoke_lease(Lease lease, const Process* maker);
// Helps the reaper with up to chunk_items descendants of revoked cells; true when none is left.
bool revoke_some();

// The budget that pays for cells is destroyed: all its cells are revoked and freed. Handles under
// them answer revoked. Up to `limit` cells; true when none is left.
bool revoke_leases_of(Budget& budget, uint32_t limit);

// Mappings that go with a lease: those of revocable memory, made through a handle under it. Each is
// a use, so that the lease can be revoked when its handles are closed already. When it ends, the
// reaper takes its regions down (AddressSpace::unmap_revoked), in steps.
//
// lease_region: `region.lease` is not 0, and the region in its address space's map, whose lock is
// held. revoked.
Result<void> lease_region(Region& region);
// The same for a part that was cut off a leased region; it shares its fate.
void lease_part(const Region& whole, Region& part);
// Before the region's memory goes; nothing if it has no lease.
void unlease_region(Region& region);
// A region is taken down: the reaper need not come for it.
void forget_revoked(Region& region);

// For tests that make one machine after the other: the memory has gone, and no cell is in use.
void forget_lease_pages();

}  // namespace annulus::kernel
