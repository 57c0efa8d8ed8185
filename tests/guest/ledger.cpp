// SPDX-License-Identifier: MIT
// Reading accounts until they stand still.

#include "tests/guest/ledger.h"

#include "abi/names.h"
#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/program_state.h"
#include "runtime/semaphore.h"

#include <string.h>

namespace annulus::test {

namespace {

constexpr Duration pause = milliseconds(4);
constexpr unsigned quiet_readings = 6;
constexpr unsigned readings_max = 2500;

// What an account says, without what does not come back: times, and the number of readings.
bool same(const abi::BudgetLedger& one, const abi::BudgetLedger& other) {
    return memcmp(&one, &other, sizeof(one)) == 0;
}
bool same(const abi::MachineLedger& one, const abi::MachineLedger& other) {
    return one.free == other.free && one.kernel_heap == other.kernel_heap &&
           one.charged == other.charged;
}

template <typename Ledger, typename Read>
Ledger settled(Read read) {
    Ledger last = read();
    for (unsigned i = 0, quiet = 0; i < readings_max && quiet < quiet_readings; ++i) {
        sleep_for(pause);
        const Ledger next = read();
        quiet = same(last, next) ? quiet + 1 : 0;
        last = next;
    }
    return last;
}

}  // namespace

void sleep_for(Duration span) {
    // A wait that nobody ends.
    static constinit abi::Handle silent = abi::no_handle;
    if (silent == abi::no_handle) {
        auto made =
            program_state.budget.create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0);
        if (!made.ok()) return;
        silent = made->release();
    }
    static_cast<void>(wait_for(SemaphoreReference(silent), Deadline::after(span)));
}

BudgetReference own_budget(const Context& test) {
    return test.environment().handle<Budget>("own").value_or(test.budget());
}

abi::BudgetLedger settled_ledger(BudgetReference budget) {
    return settled<abi::BudgetLedger>([budget] { return budget.get_ledger().value_or({}); });
}

abi::MachineLedger settled_machine(BudgetReference root) {
    return settled<abi::MachineLedger>([root] { return root.get_machine().value_or({}); });
}

void expect_returned(Context& test, BudgetReference budget, const abi::BudgetLedger& before,
                     const char* what, uint64_t tables) {
    constexpr auto pages = static_cast<unsigned>(abi::Resource::pages);
    const auto read = [&] {
        auto now = budget.get_ledger().value_or({});
        const uint64_t kept = now.used[pages] - before.used[pages];
        if (kept <= tables) now.used[pages] = before.used[pages];
        return now;
    };
    abi::BudgetLedger now = read();
    for (unsigned i = 0; i < readings_max / 2 && !same(before, now); ++i) {
        sleep_for(pause);
        now = read();
    }
    for (unsigned i = 0; i < abi::resource_count; ++i) {
        if (now.used[i] == before.used[i] && now.lent[i] == before.lent[i]) continue;
        test.fail("{}: {} used {} lent {}, before {} and {}; {} objects, before {}", what,
                  abi::resource_names[i], now.used[i], now.lent[i], before.used[i], before.lent[i],
                  now.objects, before.objects);
    }
    if (now.objects != before.objects || now.children != before.children) {
        test.fail("{}: {} objects and {} children, before {} and {}", what, now.objects,
                  now.children, before.objects, before.children);
    }
}

abi::BudgetLimits usual_limits() {
    abi::BudgetLimits limits = {};
    amount(limits, abi::Resource::pages) = 2000;
    amount(limits, abi::Resource::reserved_pages) = 2000;
    amount(limits, abi::Resource::kernel_bytes) = 1 << 20;
    amount(limits, abi::Resource::handles) = 4096;
    amount(limits, abi::Resource::slots) = 256;
    amount(limits, abi::Resource::wait_records) = 256;
    amount(limits, abi::Resource::pins) = 256;
    amount(limits, abi::Resource::timers) = 256;
    amount(limits, abi::Resource::threads) = 64;
    amount(limits, abi::Resource::leases) = 256;
    limits.cpu_weight = 100;
    limits.priority_ceiling = 40;
    return limits;
}

}  // namespace annulus::test
