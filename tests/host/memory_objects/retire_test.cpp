// SPDX-License-Identifier: MIT
// Tests of the end of objects: when their charges and their memory are given back.
#include "kernel/object/object.h"
#include "kernel/object/stock.h"

#include "tests/host/memory_objects/machine.h"
#include "tests/support/kernel_hooks.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace annulus::kernel {
namespace {

using test::Machine;
using test::play_cpu;

unsigned destructed = 0;

template <bool is_light, size_t byte_count>
struct Thing final : Object {
    Thing(Budget* payer, uint32_t bytes) : Object(kind_table, payer, bytes) {}
    static const ObjectKind kind_table;
    std::byte bytes[byte_count]{};
};
template <bool is_light, size_t byte_count>
const ObjectKind Thing<is_light, byte_count>::kind_table = {
    .type = abi::ObjectType::none,
    .detach = [](Object&) { return true; },
    .die = [](Object&) {},
    .destruct =
        [](Object& object) {
            ++destructed;
            static_cast<Thing&>(object).~Thing();
        },
    .light = is_light,
};
using Light = Thing<true, 32>;
using LargeLight = Thing<true, 3000>;
using Heavy = Thing<false, 32>;

// One whose records are used again.
struct Stocked final : Object {
    Stocked() : Object(kind_table, nullptr, sizeof(Stocked)) {}
    static constexpr StockKind stock_kind = StockKind::semaphore;
    static const ObjectKind kind_table;

    // Paid by the root, with one pin.
    static Stocked& make(Budget& budget) {
        auto* record = take_record<Stocked>();
        EXPECT_NE(record, nullptr);
        record->begin_life(budget);
        EXPECT_TRUE(budget.own(*record, 1).ok());
        return *record;
    }
};
const ObjectKind Stocked::kind_table = {
    .type = abi::ObjectType::none,
    .detach = [](Object&) { return true; },
    .die = [](Object&) {},
    .destruct = [](Object&) { ++destructed; },
    .light = true,
    .end =
        [](Object& object) {
            object.budget->disown(object, 1);
            free_after_grace(object);
        },
    .stock = stock_kind,
};

class RetireTest : public testing::Test {
protected:
    RetireTest() { destructed = 0; }
    ~RetireTest() override { play_cpu(0); }

    template <typename T>
    void make_and_drop(unsigned count) {
        for (unsigned i = 0; i < count; ++i) static_cast<void>(machine.root().create<T>().value());
    }
    uint64_t charged() { return Machine::used(machine.root(), abi::Resource::kernel_bytes); }

    Machine machine{512};
};

struct Barrier : GraceItem {
    unsigned called_after = 0;
    Barrier() {
        done = [](GraceItem& item) { static_cast<Barrier&>(item).called_after = destructed; };
    }
};

TEST_F(RetireTest, ChargesComeBackAtOnceAndMemoryAfterAGracePeriod) {
    make_and_drop<Heavy>(1);
    EXPECT_EQ(charged(), 0u);
    EXPECT_EQ(destructed, 0u);
    machine.settle();
    EXPECT_EQ(destructed, 1u);
}

TEST_F(RetireTest, LightObjectsWaitForABatch) {
    make_and_drop<Light>(batch_objects - 1);
    EXPECT_EQ(charged(), 0u) << "what waits costs nobody anything";
    EXPECT_TRUE(machine.idle()) << "no grace period for less than a batch";
    make_and_drop<Light>(1);
    EXPECT_EQ(destructed, 0u) << "not before the grace period";
    machine.settle();
    EXPECT_EQ(destructed, batch_objects);
}

TEST_F(RetireTest, FewLargeObjectsAreABatch) {
    make_and_drop<LargeLight>(batch_bytes / sizeof(LargeLight) + 1);
    machine.settle();
    EXPECT_EQ(destructed, batch_bytes / sizeof(LargeLight) + 1);
}

TEST_F(RetireTest, AnIdleCpuKeepsNothing) {
    make_and_drop<Light>(3);
    play_cpu(1);
    free_retired_here();
    EXPECT_TRUE(machine.idle()) << "they wait on another CPU";
    play_cpu(0);
    free_retired_here();
    machine.settle();
    EXPECT_EQ(destructed, 3u);
}

TEST_F(RetireTest, ABarrierWaitsForTheBatchesOfAllCpus) {
    make_and_drop<Light>(2);
    play_cpu(3);
    make_and_drop<Light>(2);
    make_and_drop<Heavy>(1);
    play_cpu(1);
    Barrier barrier;
    after_retired(barrier);
    machine.settle();
    EXPECT_EQ(barrier.called_after, 5u);
}

TEST_F(RetireTest, WhatIsRetiredDuringAGracePeriodWaitsForTheNext) {
    make_and_drop<Heavy>(1);
    make_and_drop<Light>(batch_objects);
    make_and_drop<Heavy>(1);
    EXPECT_TRUE(machine.advance());
    EXPECT_EQ(destructed, 1u);
    machine.settle();
    EXPECT_EQ(destructed, batch_objects + 2);
}

class StockTest : public RetireTest {
protected:
    ~StockTest() override {
        machine.settle();
        empty_stocks();
        machine.settle();
        empty_stocks();
    }
    // Makes as many at once, and ends them.
    std::set<Object*> make_and_end(unsigned count) {
        std::vector<Stocked*> made;
        for (unsigned i = 0; i < count; ++i) made.push_back(&Stocked::make(machine.root()));
        for (Stocked* one : made) release(*one);
        return {made.begin(), made.end()};
    }
};

TEST_F(StockTest, ARecordIsNotMadeAgainBeforeItsGracePeriod) {
    const auto first = make_and_end(stock_batch);
    EXPECT_EQ(charged(), 0u) << "what rests costs nobody anything";
    EXPECT_EQ(Machine::used(machine.root(), abi::Resource::pins), 0u);
    Stocked& early = Stocked::make(machine.root());
    EXPECT_FALSE(first.contains(&early)) << "somebody may still have found the old one";
    machine.settle();
    Stocked& late = Stocked::make(machine.root());
    EXPECT_TRUE(first.contains(&late));
    EXPECT_EQ(destructed, 0u);
    EXPECT_EQ(late.references.load(), 1u);
    release(early);
    release(late);
}

TEST_F(StockTest, LessThanABatchRests) {
    make_and_end(stock_batch - 1);
    EXPECT_TRUE(machine.idle()) << "no grace period for less than a batch";
    EXPECT_EQ(take_from_stock(StockKind::semaphore), nullptr);
}

TEST_F(StockTest, WhatAFullStockHasNoRoomForIsFreed) {
    make_and_end(stock_max);
    machine.settle();
    EXPECT_EQ(destructed, 0u);
    make_and_end(stock_max + 1);
    machine.settle();
    EXPECT_GT(destructed, 0u);
    unsigned ready = 0;
    while (Object* record = take_from_stock(StockKind::semaphore)) {
        free_record(*record);
        ++ready;
    }
    EXPECT_LE(ready, stock_max);
}

TEST_F(StockTest, EachCpuHasItsOwn) {
    make_and_end(stock_batch);
    machine.settle();
    play_cpu(2);
    EXPECT_EQ(take_from_stock(StockKind::semaphore), nullptr);
    empty_stocks();
    play_cpu(0);
    EXPECT_EQ(take_from_stock(StockKind::semaphore), nullptr);
    EXPECT_EQ(destructed, stock_batch);
}

TEST_F(StockTest, ShortMemoryEmptiesTheStock) {
    make_and_end(stock_batch);
    machine.settle();
    std::vector<PhysicalPage> taken;
    for (;;) {
        const auto page = machine.pages().allocate(0);
        if (!page.ok()) break;
        taken.push_back(*page);
    }
    play_cpu(1);
    // The last records that there is memory for are those in CPU 0's stock.
    std::vector<Stocked*> made;
    while (auto* record = take_record<Stocked>()) made.push_back(record);
    EXPECT_GE(made.size(), stock_batch);
    EXPECT_GE(destructed, stock_batch);
    for (Stocked* record : made) free_record(*record);
    for (const PhysicalPage page : taken) machine.pages().free(page, 0);
    play_cpu(0);
}

TEST_F(StockTest, AnObjectThatCannotBePaidIsNotLinked) {
    const auto budget = machine.budget(0, 0, ObjectHeap::charged_size(sizeof(Stocked)));
    Stocked& one = Stocked::make(*budget);
    auto* second = take_record<Stocked>();
    ASSERT_NE(second, nullptr);
    second->begin_life(*budget);
    EXPECT_EQ(budget->own(*second, 1).code(), Error::no_budget);
    EXPECT_EQ(Machine::used(*budget, abi::Resource::pins), 1u);
    free_after_grace(*second);
    release(one);
    EXPECT_EQ(Machine::used(*budget, abi::Resource::kernel_bytes), 0u);
}

TEST_F(RetireTest, ShortMemoryLetsTheBatchesGo) {
    make_and_drop<Light>(4);
    std::vector<PhysicalPage> taken;
    for (;;) {
        const auto page = machine.pages().allocate(0);
        if (!page.ok()) break;
        taken.push_back(*page);
    }
    std::vector<Ref<LargeLight>> made;
    for (;;) {
        auto one = machine.root().create<LargeLight>();
        if (!one.ok()) {
            EXPECT_EQ(one.error(), Error::no_memory);
            break;
        }
        made.push_back(std::move(*one));
    }
    EXPECT_FALSE(machine.idle());
    machine.settle();
    EXPECT_EQ(destructed, 4u);
    made.clear();
    for (const PhysicalPage page : taken) machine.pages().free(page, 0);
}

}  // namespace
}  // namespace annulus::kernel
