// SPDX-License-Identifier: MIT
// Every allocation of every operation that creates something fails once: the caller is told what
// ran out, and every account is as before.
//
// A budget is made short by a child that takes all but n units of one resource; n grows until the
// operation succeeds. So each charge that the operation makes is the one that fails, once.

#include "abi/names.h"
#include "abi/operations.h"
#include "runtime/semaphore.h"
#include "tests/hostile/allocation/operations.h"

const char* const annulus::test::suite = "allocation";

namespace annulus::test::cases {
namespace {

using namespace allocation;
using abi::Resource;

constexpr unsigned attempts_max = 4096;
// Sizes of kernel objects are multiples of this.
constexpr uint64_t kernel_bytes_step = 32;

uint64_t available(const abi::BudgetLedger& ledger, Resource resource) {
    const auto i = static_cast<unsigned>(resource);
    return ledger.limit[i] - ledger.used[i] - ledger.lent[i];
}

// A child that leaves `left` units of one resource in its parent.
Result<Budget> squeeze(BudgetReference budget, Resource resource, uint64_t left) {
    abi::BudgetLimits limits = {};
    limits.cpu_weight = 1;
    uint64_t record = 0;
    if (resource == Resource::kernel_bytes) {
        const uint64_t before = available(TRY(budget.get_ledger()), resource);
        const auto empty = TRY(budget.create_budget(limits));
        record = before - available(TRY(budget.get_ledger()), resource);
    }
    const uint64_t free = available(TRY(budget.get_ledger()), resource);
    if (free < left + record) return Error::limit;
    amount(limits, resource) = free - left - record;
    return budget.create_budget(limits);
}

bool same(const abi::BudgetLedger& left, const abi::BudgetLedger& right) {
    for (unsigned i = 0; i < abi::resource_count; ++i) {
        if (left.used[i] != right.used[i] || left.lent[i] != right.lent[i]) return false;
    }
    return left.objects == right.objects && left.children == right.children;
}

struct Accounts {
    abi::BudgetLedger budget, own;
};

Accounts read_accounts(const Context& test) {
    return {settled_ledger(test.budget()), settled_ledger(own_budget(test))};
}

void expect_accounts(Context& test, const Accounts& before, const Operation& operation) {
    // Threads, processes and mappings go a little later.
    for (unsigned i = 0; i < 100; ++i) {
        const auto budget = test.budget().get_ledger().value_or({});
        const auto own = own_budget(test).get_ledger().value_or({});
        if (same(budget, before.budget) && same(own, before.own)) return;
        sleep_for(microseconds(100));
    }
    expect_returned(test, test.budget(), before.budget, operation.name);
    expect_returned(test, own_budget(test), before.own, operation.name);
}

// How often it failed.
uint64_t fail_each_charge(Context& test, const World& world, const Operation& operation,
                          const Accounts& before, BudgetReference budget, Resource resource) {
    const uint64_t step = resource == Resource::kernel_bytes ? kernel_bytes_step : 1;
    for (uint64_t failures = 0; failures < attempts_max; ++failures) {
        Status status;
        {
            const auto rest = squeeze(budget, resource, failures * step);
            if (!rest.ok()) {
                test.fail("{}: {} cannot be made short: {}", operation.name, abi::name_of(resource),
                          abi::name_of(rest.error()));
                return failures;
            }
            status = operation.perform(world).status();
        }
        expect_accounts(test, before, operation);
        if (test.failed() || status.ok()) return failures;
        if (status != Status(Error::no_budget, static_cast<uint16_t>(resource))) {
            test.fail("{} without {} answered {} (detail {})", operation.name,
                      abi::name_of(resource), abi::name_of(status.code()), status.detail());
            return failures;
        }
    }
    test.fail("{} does not get along with any amount of {}", operation.name,
              abi::name_of(resource));
    return attempts_max;
}

// All slots of this process's handle table but those that are given back.
class FullTable {
public:
    explicit FullTable(ObjectReference object) {
        while (count_ < capacity) {
            auto made = object.get_duplicate(0, 0);
            if (!made.ok()) break;
            handles_[count_++] = made->handle.release();
        }
    }
    ~FullTable() {
        while (count_ > 0) close_handle(handles_[--count_]);
    }
    FullTable(const FullTable&) = delete;
    FullTable& operator=(const FullTable&) = delete;

    bool full() const { return count_ > 0 && count_ < capacity; }
    void free_one() {
        if (count_ > 0) close_handle(handles_[--count_]);
    }

private:
    static constexpr unsigned capacity = 16384;
    static constinit abi::Handle handles_[capacity];  // costs nothing while something is short
    unsigned count_ = 0;
};

constinit abi::Handle FullTable::handles_[capacity] = {};

// How often it failed.
uint64_t fail_each_handle(Context& test, const World& world, const Operation& operation,
                          const Accounts& before) {
    constexpr unsigned failures_max = 512;  // a table of 100 slots needs 401 handles
    FullTable table(world.semaphore);
    EXPECT(table.full());
    for (uint64_t failures = 0; failures < failures_max; ++failures) {
        const Status status = operation.perform(world).status();
        expect_accounts(test, before, operation);
        if (status.ok() || test.failed()) return failures;
        if (status.code() != Error::no_room) {
            test.fail("{} with a full handle table answered {}", operation.name,
                      abi::name_of(status.code()));
            return failures;
        }
        table.free_one();
    }
    test.fail("{} does not get along with {} handles", operation.name, failures_max);
    return failures_max;
}

}  // namespace
}  // namespace annulus::test::cases

TEST(budgets_run_out,
     "each charge of each operation fails once: it says what, and nothing is lost") {
    const World world = MUST(World::create(test));
    const Accounts before = read_accounts(test);
    uint64_t failures = 0;
    for (const Operation& operation : operations) {
        const Status first = operation.perform(world).status();
        if (!first.ok()) {
            return test.fail("{} answered {}", operation.name, abi::name_of(first.code()));
        }
        // A process that was started may still be taking page tables on another CPU.
        expect_accounts(test, before, operation);
        if (test.failed()) return;
        uint64_t mine = 0;
        for (const BudgetReference budget : {test.budget(), own_budget(test)}) {
            for (unsigned i = 0; i < abi::resource_count; ++i) {
                mine += fail_each_charge(test, world, operation, before, budget,
                                         static_cast<Resource>(i));
                if (test.failed()) return;
            }
        }
        // Each of them charges something.
        if (mine == 0) return test.fail("{} costs nothing", operation.name);
        failures += mine;
    }
    report_count("refused charges", failures);
}

TEST(handles_run_out, "each operation that needs a handle says no_room, and nothing is lost") {
    const World world = MUST(World::create(test));
    const Accounts before = read_accounts(test);
    uint64_t failures = 0;
    for (const Operation& operation : operations) {
        failures += fail_each_handle(test, world, operation, before);
        if (test.failed()) return;
    }
    report_count("refused handles", failures);
}
