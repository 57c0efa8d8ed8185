// SPDX-License-Identifier: MIT
// The arithmetic of one budget: limits hold, nothing overflows, closing gives everything back.
#include "kernel/object/ledger.h"

#include <gtest/gtest.h>

#include <random>

namespace annulus::kernel {
namespace {

using abi::Resource;

constexpr unsigned at(Resource resource) { return static_cast<unsigned>(resource); }

abi::BudgetLimits limits_of(uint64_t amount) {
    abi::BudgetLimits limits{};
    for (uint64_t& one : limits.amount) one = amount;
    return limits;
}

TEST(Ledger, ChargesUpToTheLimitAndNotOneMore) {
    Ledger ledger(limits_of(10));
    EXPECT_TRUE(ledger.charge(Resource::pages, 10).ok());
    const auto refused = ledger.charge(Resource::pages, 1);
    EXPECT_EQ(refused.error(), Error::no_budget);
    EXPECT_EQ(refused.status().detail(), at(Resource::pages));
    EXPECT_TRUE(ledger.charge(Resource::threads, 10).ok()) << "resources are apart";
    ledger.uncharge(Resource::pages, 1);
    EXPECT_TRUE(ledger.charge(Resource::pages, 1).ok());
}

TEST(Ledger, HugeAmountsDoNotWrapAround) {
    Ledger ledger(limits_of(~uint64_t{0}));
    ASSERT_TRUE(ledger.charge(Resource::pages, ~uint64_t{0} - 1).ok());
    EXPECT_EQ(ledger.charge(Resource::pages, 2).error(), Error::no_budget);
    EXPECT_EQ(ledger.charge(Resource::pages, ~uint64_t{0}).error(), Error::no_budget);
    EXPECT_TRUE(ledger.charge(Resource::pages, 1).ok());
}

TEST(Ledger, LendsAllOrNothing) {
    Ledger ledger(limits_of(10));
    ASSERT_TRUE(ledger.charge(Resource::leases, 5).ok());
    const auto refused = ledger.lend(limits_of(6));
    EXPECT_EQ(refused.error(), Error::no_budget);
    EXPECT_EQ(refused.status().detail(), at(Resource::leases));
    EXPECT_TRUE(ledger.charge(Resource::pages, 10).ok()) << "the refused loan took nothing";
    ledger.uncharge(Resource::pages, 10);
    EXPECT_TRUE(ledger.lend(limits_of(5)).ok());
    EXPECT_EQ(ledger.charge(Resource::pages, 6).error(), Error::no_budget);
}

TEST(Ledger, AClosedLedgerRefusesAndReadsZero) {
    Ledger ledger(limits_of(10));
    ASSERT_TRUE(ledger.charge(Resource::pages, 3).ok());
    ASSERT_TRUE(ledger.lend(limits_of(2)).ok());
    const ResourceAmounts surplus = ledger.close();
    EXPECT_EQ(surplus.amount[at(Resource::pages)], 5u);
    EXPECT_EQ(surplus.amount[at(Resource::threads)], 8u);
    EXPECT_EQ(ledger.charge(Resource::pages, 1).error(), Error::wrong_state);
    EXPECT_EQ(ledger.lend(limits_of(0)).error(), Error::wrong_state);
    abi::BudgetLedger read{};
    ledger.read(read);
    for (unsigned i = 0; i < abi::resource_count; ++i) {
        EXPECT_EQ(read.limit[i] | read.used[i] | read.lent[i], 0u);
    }
    const ResourceAmounts again = ledger.close();
    EXPECT_EQ(again.amount[at(Resource::pages)], 0u) << "only once";
}

// A chain of ledgers, closed in any order with remains: in the end the root has everything back.
TEST(Ledger, RemainsComeBackToTheRootWhateverTheOrder) {
    std::mt19937 random(7);
    for (int round = 0; round < 1000; ++round) {
        Ledger root(limits_of(1000));
        Ledger child(limits_of(400));
        Ledger grandchild(limits_of(150));
        ASSERT_TRUE(root.lend(limits_of(400)).ok());
        ASSERT_TRUE(child.lend(limits_of(150)).ok());
        Ledger* chain[] = {&grandchild, &child, &root};
        // As Budget::pass_to_parents does it.
        const auto pass = [&](unsigned from, const ResourceAmounts& amounts) {
            for (unsigned i = from; i < 3; ++i) {
                chain[i]->take_back(amounts);
                if (!chain[i]->closed()) return;
            }
        };
        uint64_t used[2] = {random() % 150, random() % 250};
        ASSERT_TRUE(grandchild.charge(Resource::pages, used[0]).ok());
        ASSERT_TRUE(child.charge(Resource::pages, used[1]).ok());
        bool closed[2] = {};
        while (!closed[0] || !closed[1] || used[0] != 0 || used[1] != 0) {
            const unsigned which = random() % 2;
            if (random() % 4 == 0) {
                if (closed[which]) continue;
                closed[which] = true;
                pass(which + 1, chain[which]->close());
            } else if (used[which] != 0) {
                const uint64_t amount = 1 + random() % used[which];
                used[which] -= amount;
                chain[which]->uncharge(Resource::pages, amount);
                ResourceAmounts amounts;
                amounts.amount[at(Resource::pages)] = amount;
                if (closed[which]) pass(which + 1, amounts);
            }
        }
        EXPECT_TRUE(root.nothing_used());
        EXPECT_TRUE(root.charge(Resource::pages, 1000).ok());
    }
}

}  // namespace
}  // namespace annulus::kernel
