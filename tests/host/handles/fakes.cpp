// SPDX-License-Identifier: MIT
// The handle table's surroundings, and the kernel's hooks that end in them.
#include "tests/host/handles/fakes.h"

#include "kernel/schedule/grace.h"
#include "kernel/schedule/reaper.h"

#include <gtest/gtest.h>

namespace annulus::test {
namespace {

kernel::LeaseEpochPage epochs;
uint32_t uses[fake_leases + 1];

// The cell that the lease names, while it holds; else 0.
uint32_t held_cell(kernel::Lease lease) {
    return kernel::lease_valid(lease) ? static_cast<uint32_t>(lease) : 0;
}

}  // namespace

HandleWorld::HandleWorld() {
    kernel::the_page_allocator = &arena_.pages();
    kernel::the_object_heap = heap_.get();
    heap_->init(arena_.pages(), 42);
    abi::BudgetLimits limits{};
    for (uint64_t& amount : limits.amount) amount = uint64_t{1} << 40;
    limits.cpu_weight = 100;
    limits.priority_ceiling = 63;
    kernel::Budget::init_root(limits);
    kernel::lease_epochs[0] = &epochs;
    for (uint32_t cell = 0; cell <= fake_leases; ++cell) {
        epochs.epoch[cell] = 1;
        uses[cell] = 0;
    }
}

HandleWorld::~HandleWorld() {
    EXPECT_EQ(used(root(), abi::Resource::handles), 0u);
    EXPECT_EQ(used(root(), abi::Resource::pages), 0u);
}

uint64_t HandleWorld::used(kernel::Budget& budget, abi::Resource resource) {
    abi::BudgetLedger ledger;
    budget.read_ledger(ledger);
    return ledger.used[static_cast<unsigned>(resource)];
}

kernel::Lease fake_lease(uint32_t cell) { return uint64_t{epochs.epoch[cell]} << 32 | cell; }
uint32_t fake_lease_uses(uint32_t cell) { return uses[cell]; }
void revoke_fake_lease(uint32_t cell) {
    ++epochs.epoch[cell];
    uses[cell] = 0;
}

}  // namespace annulus::test

namespace annulus::kernel {

constinit std::atomic<LeaseEpochPage*> lease_epochs[lease_pages_max] = {};
void retain_lease(Lease lease) {
    if (const uint32_t cell = test::held_cell(lease)) ++test::uses[cell];
}
void release_lease(Lease lease) {
    const uint32_t cell = test::held_cell(lease);
    if (cell == 0) return;
    EXPECT_GT(test::uses[cell], 0u) << "a use of a lease was given back twice";
    --test::uses[cell];
}

// In these tests no object ends, so nothing waits for a grace period or the reaper.
void grace_after(GraceItem&) { ADD_FAILURE() << "a grace period"; }
void reap(Work&) { ADD_FAILURE() << "work for the reaper"; }
void Budget::begin_destruction() {}
void WatchList::clear() {}
bool WatchList::clear_some(unsigned&) { return true; }
void WatchList::fire() {}

}  // namespace annulus::kernel
