// SPDX-License-Identifier: MIT
// What a handle table counts on: RAM, a budget, lease cells and objects, as tests can look at them.
#pragma once

#include "kernel/memory/kernel_memory.h"
#include "kernel/object/budget.h"
#include "kernel/object/lease.h"
#include "kernel/object/semaphore.h"
#include "tests/support/page_arena.h"

#include <memory>

namespace annulus::test {

// One for each test.
class HandleWorld {
public:
    HandleWorld();
    ~HandleWorld();

    kernel::Budget& root() { return kernel::Budget::root(); }
    static uint64_t used(kernel::Budget& budget, abi::Resource resource);

    kernel::PageAllocator& pages() { return arena_.pages(); }

private:
    PageArena arena_{PageArena::one_range(1024)};
    std::unique_ptr<kernel::ObjectHeap> heap_ = std::make_unique<kernel::ObjectHeap>();
};

// Lease cells from 1 on, always there. A cell's lease, which the caller may give uses.
inline constexpr uint32_t fake_leases = 8;
kernel::Lease fake_lease(uint32_t cell);
// How many handles count on the cell as it is now.
uint32_t fake_lease_uses(uint32_t cell);
// From here on its lease is another one, that nobody counts on.
void revoke_fake_lease(uint32_t cell);

}  // namespace annulus::test
