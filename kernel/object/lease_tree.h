// SPDX-License-Identifier: MIT
// LeaseTree: the tree of lease cells and its chunked revocation. No locks, no memory of its own.
//
//   roots: cell      cell          revoke(cell): its epoch ends at once; it moves to `dying`
//           |- child               take_dead(): moves its children there, then hands the cell out
//           '- child - child       to be freed
//
// Invariant: a cell is in its parent's list (or the roots) while it lives, and in `dying` from when
// it is revoked until it is handed out.
#pragma once

#include "abi/limits.h"
#include "base/intrusive_list.h"
#include "base/result.h"

#include <stdint.h>

#include <atomic>

namespace annulus::kernel {

class Budget;
struct Region;
struct RegionOfLease;
struct LeaseOfParent;
struct LeaseOfBudget;

struct LeaseCell : ListNode<LeaseOfParent>, ListNode<LeaseOfBudget> {
    std::atomic<uint32_t>* epoch = nullptr;  // in the directory
    Budget* budget = nullptr;                // pays; holds a reference
    LeaseCell* parent = nullptr;
    IntrusiveList<LeaseCell, LeaseOfParent> children;
    IntrusiveList<Region, RegionOfLease> regions;  // that go with it
    uint64_t maker = 0;
    uint32_t index = 0;
    uint32_t uses = 0;  // handle entries and regions
    uint32_t depth = 0;
    bool revoked = false;
};

class LeaseTree {
public:
    // Adds a live cell under a live parent or none. too_deep.
    Result<void> add(LeaseCell& cell, LeaseCell* parent) {
        const uint32_t depth = parent == nullptr ? 1 : parent->depth + 1;
        if (depth > abi::lease_depth_max) return Error::too_deep;
        cell.depth = depth;
        cell.parent = parent;
        (parent == nullptr ? roots_ : parent->children).push_back(cell);
        return {};
    }

    // Ends a cell's epoch and queues it to be taken apart. Its parent, if that is useless now:
    // unlinked, to be freed by the caller.
    LeaseCell* revoke(LeaseCell& cell) {
        if (cell.revoked) return nullptr;
        cell.revoked = true;
        // Release: pairs with the acquire in lease_valid(): a use after this call is late.
        cell.epoch->fetch_add(1, std::memory_order_release);
        LeaseCell* parent = cell.parent;
        cell.parent = nullptr;
        Children::remove(cell);
        dying_.push_back(cell);
        return parent == nullptr ? nullptr : take_useless(*parent);
    }

    // A use of a live cell went. The cell if it is useless now: unlinked, to be freed by the
    // caller, who then asks for its parent by take_useless().
    LeaseCell* drop_use(LeaseCell& cell) {
        --cell.uses;
        return take_useless(cell);
    }
    LeaseCell* take_useless(LeaseCell& cell) {
        if (cell.revoked || cell.uses != 0 || !cell.children.empty()) return nullptr;
        cell.revoked = true;
        cell.epoch->fetch_add(1, std::memory_order_release);
        Children::remove(cell);
        return &cell;
    }

    // Works on revoked cells, taking from `limit` for each. A cell to be freed; or null: nothing is
    // left, or the limit is used up.
    LeaseCell* take_dead(unsigned& limit) {
        while (limit > 0) {
            LeaseCell* cell = dying_.front();
            if (cell == nullptr) return nullptr;
            --limit;
            if (LeaseCell* child = cell->children.front()) {
                revoke(*child);
                continue;
            }
            Children::remove(*cell);
            return cell;
        }
        return nullptr;
    }
    bool dying() const { return !dying_.empty(); }

private:
    using Children = IntrusiveList<LeaseCell, LeaseOfParent>;

    Children roots_;
    Children dying_;
};

}  // namespace annulus::kernel
