// SPDX-License-Identifier: MIT
// Comparing what a budget has in use before and after something.
//
// The kernel takes things apart in the background: an account is read when it stands still, and
// compared until it is as before or a deadline passes.
#pragma once

#include "tests/guest/harness.h"

namespace annulus::test {

// The budget's account, once it has not changed for a few milliseconds.
abi::BudgetLedger settled_ledger(BudgetReference budget);

// Waits until used, lent, children and objects are as in `before`; notes what differs after
// seconds of waiting. An address space keeps its page tables to its end: whoever mapped memory at
// new places says how many of these `tables` there may be.
void expect_returned(Context& test, BudgetReference budget, const abi::BudgetLedger& before,
                     const char* what, uint64_t tables = 0);

// The budget that pays for this process, and for what a caller pays itself: leases, watches,
// mappings, served objects. Handed out as `own` where it is not the one that tests spend from.
BudgetReference own_budget(const Context& test);

// Free pages and pages of the kernel heap.
abi::MachineLedger settled_machine(BudgetReference root);

// Limits that leave room for whatever a test does, within what the root has.
abi::BudgetLimits usual_limits();

inline uint64_t& amount(abi::BudgetLimits& limits, abi::Resource resource) {
    return limits.amount[static_cast<unsigned>(resource)];
}
inline uint64_t used(const abi::BudgetLedger& ledger, abi::Resource resource) {
    return ledger.used[static_cast<unsigned>(resource)];
}

// Sleeps at least this long; without a clock not at all.
void sleep_for(Duration span);

}  // namespace annulus::test
