// SPDX-License-Identifier: MIT
// Tests of the end of objects: when their charges and their memory are given back.
#include "kernel/object/object.h"

#include "tests/host/memory_objects/machine.h"
#include "tests/support/kernel_hooks.h"

#include <gtest/gtest.h>

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
