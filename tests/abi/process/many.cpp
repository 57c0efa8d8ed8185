// SPDX-License-Identifier: MIT
// Ten thousand processes, and accounts that are exactly what they were.

#include "abi/operations.h"
#include "runtime/clock.h"
#include "tests/guest/small_process.h"

#include <array>

namespace annulus::test::cases {

namespace {

constexpr unsigned processes = 10'000;
constexpr unsigned ways = 5;
constexpr unsigned at_once = 8;

struct One {
    SmallProcess process;
    Thread thread;
};

// A process in one of several states of life.
Result<One> begin(BudgetReference budget, MemoryReference code, ObjectReference gate,
                  unsigned way) {
    auto process = TRY(SmallProcess::create(budget, code));
    Thread thread;
    switch (way % ways) {
        case 0: break;
        case 1: thread = TRY(process.start(small_exit, way)); break;
        case 2: thread = TRY(process.start(small_spin)); break;
        default: {
            const abi::Handle there = TRY(process.lend(gate));
            TRY(process.add_data(budget));
            thread = TRY(process.start_call(0, wait_registers(there, abi::deadline_never)));
        }
    }
    return One{std::move(process), std::move(thread)};
}

// Makes and kills `count` of them, several at a time.
void churn(Context& test, BudgetReference budget, MemoryReference code, unsigned count) {
    const auto gate =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    const auto ended =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    for (unsigned i = 0; i < count; i += at_once) {
        for (unsigned j = 0; j < at_once; ++j) {
            const auto one = MUST(begin(budget, code, gate, i + j));
            EXPECT_OK(one.process.process().watch_exit(ended));
            EXPECT_OK(one.process.process().remove_kill(i));
        }
        for (unsigned j = 0; j < at_once; ++j) {
            EXPECT_OK(wait_for(ended, Deadline::after(seconds(10))));
        }
        if (test.failed()) return;
        if (i % 2000 == 0) log("{} of {} processes", i, count);
    }
}

}  // namespace

}  // namespace annulus::test::cases

TEST(ten_thousand, "10,000 processes made and killed leave every account exactly as it was") {
    const auto code = MUST(make_small_code(test.budget()));
    sleep_for(milliseconds(1));
    churn(test, test.budget(), code, 80);  // the kernel's heap takes the size it needs
    const auto before = settled_ledger(test.budget());
    const auto own = settled_ledger(own_budget(test));
    const auto machine = settled_machine(test.budget());
    const uint64_t begun = now();
    churn(test, test.budget(), code, processes);
    report_count("microseconds a process", (now() - begun) / processes / 1000);
    expect_returned(test, test.budget(), before, "after ten thousand processes");
    expect_returned(test, own_budget(test), own, "the caller");
    const auto after = settled_machine(test.budget());
    EXPECT_EQ(after.charged, machine.charged);
    EXPECT_EQ(after.total, machine.total);
    // The heap may keep pages for later; free and kept together are what they were.
    EXPECT_EQ(after.free + after.kernel_heap, machine.free + machine.kernel_heap);
    report_count("processes", processes);
    report_count("free pages", after.free);
    report_count("free pages before", machine.free);
    report_count("pages of the kernel heap", after.kernel_heap);
    report_count("pages of the kernel heap before", machine.kernel_heap);
}

TEST(in_a_budget, "processes of a child budget come and go, and its ledger is exactly as before") {
    const auto code = MUST(make_small_code(test.budget()));
    const auto root = settled_ledger(test.budget());
    {
        const auto budget = MUST(test.budget().create_budget(usual_limits()));
        const auto before = settled_ledger(budget);
        churn(test, budget, code, 400);
        expect_returned(test, budget, before, "the child budget");
    }
    expect_returned(test, test.budget(), root, "its parent");
}
