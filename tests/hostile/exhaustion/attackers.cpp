// SPDX-License-Identifier: MIT
// The budgets of attackers: made small, and gone without a trace.

#include "abi/operations.h"
#include "runtime/semaphore.h"
#include "tests/hostile/exhaustion/attack.h"

namespace annulus::test::exhaustion {

abi::BudgetLimits attacker_limits(abi::Resource resource, uint64_t limit) {
    auto limits = usual_limits();
    amount(limits, resource) = limit;
    limits.priority_ceiling = 20;
    return limits;
}

void destroy(Context& test, BudgetReference budget) {
    const auto done =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    EXPECT_OK(budget.remove_destroy(done));
    EXPECT_OK(wait_for(done, Deadline::after(seconds(20))));
    const auto ledger = MUST(budget.get_ledger());
    for (unsigned i = 0; i < abi::resource_count; ++i) {
        EXPECT_EQ(ledger.used[i] + ledger.lent[i] + ledger.limit[i], 0);
    }
    EXPECT_EQ(ledger.objects, 0);
}

}  // namespace annulus::test::exhaustion
