// SPDX-License-Identifier: MIT
// Region: a run of pages of one address space that shows a run of pages of one memory object.
//
//   live -> unmapping (its translations are removed, chunk by chunk) -> gone (waits for a grace
//   period, so that no CPU has any, unless this is known) -> freed
//
// A region that is not live keeps its addresses and its memory, but nobody can touch it any more.
// Locking: everything is guarded by the address space's lock, except what names the memory's;
// begin, pages and first change under both (a split), so either is enough to read them.
#pragma once

#include "kernel/memory/address_map.h"
#include "kernel/memory/memory_object.h"
#include "kernel/object/lease.h"
#include "kernel/schedule/grace.h"

namespace annulus::kernel {

enum class RegionState : uint8_t { live, unmapping, gone };

// What the mapper's budget pays for the region's pages.
enum class RegionPayment : uint8_t {
    nothing,   // the memory's payer is the same budget
    reserved,  // reserved_pages: the payer lives, or the budget had no pages left when it died
    pages,     // the payer died
};

struct Region final : MappingNode, GraceItem, AddressMapNode, ListNode<RegionOfLease> {
    Region() : MappingNode(true) {}

    uint64_t address() const { return begin; }
    uint64_t end_page() const { return first + pages(); }
    uint64_t pages() const { return (end - begin) / arch::page_size; }
    uint64_t page_at(uint64_t address) const { return first + (address - begin) / arch::page_size; }
    bool has_page(uint64_t index) const { return index >= first && index < end_page(); }
    uint64_t address_of(uint64_t index) const { return begin + (index - first) * arch::page_size; }

    AddressSpace* space = nullptr;
    MemoryObject* memory = nullptr;  // holds a reference; never a range
    uint64_t first = 0;              // the memory's page at `begin`
    Lease lease = 0;                 // it goes with this lease; 0: never (lease.h)
    uint64_t cursor = 0;             // unmapping: addresses below are clear
    uint8_t access = 0;              // abi::map_read, map_write, map_execute
    uint8_t allowed = 0;             // what protect may give
    RegionState state = RegionState::live;
    bool forgotten = false;                          // gone, and no CPU has a translation
    RegionPayment payment = RegionPayment::nothing;  // the memory's lock
};

}  // namespace annulus::kernel
