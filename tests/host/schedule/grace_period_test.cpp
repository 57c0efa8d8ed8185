// SPDX-License-Identifier: MIT
// Grace periods on a set of fake CPUs: nothing is freed while a CPU may still point to it.
#include "kernel/schedule/grace_period.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

namespace annulus::kernel {
namespace {

uint64_t bits(unsigned cpus) { return (uint64_t{1} << cpus) - 1; }

TEST(GracePeriod, OneCpuEndsAtItsNextPass) {
    GracePeriod periods;
    GraceItem item;
    periods.add(item);
    EXPECT_EQ(periods.begin(1), 1u);
    EXPECT_EQ(periods.take_ended(), nullptr);
    EXPECT_TRUE(periods.pass(0));
    EXPECT_EQ(periods.take_ended(), &item);
    EXPECT_EQ(periods.take_ended(), nullptr);
    EXPECT_TRUE(periods.idle());
}

TEST(GracePeriod, EveryCpuHasToPassOnce) {
    GracePeriod periods;
    GraceItem item;
    periods.add(item);
    EXPECT_EQ(periods.begin(bits(3)), bits(3));
    EXPECT_FALSE(periods.pass(1));
    EXPECT_FALSE(periods.pass(1)) << "twice is once";
    EXPECT_FALSE(periods.pass(2));
    EXPECT_FALSE(periods.any_ended());
    EXPECT_TRUE(periods.pass(0));
    EXPECT_TRUE(periods.any_ended());
}

TEST(GracePeriod, LaterItemsJoinTheNextPeriod) {
    GracePeriod periods;
    GraceItem first, second, third;
    periods.add(first);
    periods.begin(bits(2));
    periods.pass(0);
    periods.add(second);
    periods.add(third);
    EXPECT_EQ(periods.begin(bits(2)), 0u) << "one at a time";
    EXPECT_TRUE(periods.pass(1));
    EXPECT_EQ(periods.take_ended(), &first);
    EXPECT_EQ(periods.take_ended(), nullptr);
    EXPECT_EQ(periods.begin(bits(2)), bits(2));
    periods.pass(0);
    periods.pass(1);
    EXPECT_EQ(periods.take_ended(), &second);
    EXPECT_EQ(periods.take_ended(), &third);
}

TEST(GracePeriod, FlushIsOfThePeriodThatAskedForIt) {
    GracePeriod periods;
    GraceItem plain, flushing;
    flushing.flush = true;
    periods.add(plain);
    periods.begin(1);
    EXPECT_FALSE(periods.flush());
    periods.add(flushing);
    EXPECT_FALSE(periods.flush());
    periods.pass(0);
    periods.begin(1);
    EXPECT_TRUE(periods.flush());
}

TEST(GracePeriod, SleepingCpusArePassedOver) {
    GracePeriod periods;
    GraceItem first, second;
    periods.sleep(1);
    periods.add(first);
    EXPECT_EQ(periods.begin(bits(2)), 1u);
    EXPECT_TRUE(periods.pass(0));
    periods.wake(1);
    periods.add(second);
    EXPECT_EQ(periods.begin(bits(2)), bits(2));
}

TEST(GracePeriod, WithoutCpusItEndsAtOnce) {
    GracePeriod periods;
    GraceItem item;
    periods.add(item);
    EXPECT_EQ(periods.begin(0), 0u);
    EXPECT_EQ(periods.take_ended(), &item);
}

// Fake CPUs pick up pointers to a published item, unhook it, retire it, pass or sleep without any
// pointer. An item must never end while a CPU has it.
TEST(GracePeriod, NobodyPointsToWhatHasEnded) {
    constexpr unsigned cpus = 4;
    struct Item : GraceItem {
        bool ended = false;
    };
    std::mt19937 random(5);
    for (int round = 0; round < 200; ++round) {
        GracePeriod periods;
        std::vector<std::unique_ptr<Item>> items;
        Item* published = nullptr;
        Item* held[cpus] = {};
        bool asleep[cpus] = {};
        for (int step = 0; step < 500; ++step) {
            const unsigned cpu = random() % cpus;
            if (asleep[cpu]) {
                if (random() % 2 == 0) {
                    periods.wake(cpu);
                    asleep[cpu] = false;
                }
                continue;
            }
            switch (random() % 5) {
                case 0:
                    if (published == nullptr) {
                        items.push_back(std::make_unique<Item>());
                        published = items.back().get();
                    }
                    break;
                case 1: held[cpu] = published; break;
                case 2:
                    if (published == nullptr) break;
                    periods.add(*published);
                    published = nullptr;
                    periods.begin(bits(cpus));
                    break;
                case 3:
                    held[cpu] = nullptr;
                    if (periods.pass(cpu)) periods.begin(bits(cpus));
                    while (GraceItem* item = periods.take_ended()) {
                        static_cast<Item*>(item)->ended = true;
                    }
                    break;
                default:
                    // A CPU that a period waits for has an interrupt pending and does not sleep.
                    if (held[cpu] == nullptr && !periods.missing(cpu)) {
                        periods.sleep(cpu);
                        asleep[cpu] = true;
                    }
                    break;
            }
            for (const Item* item : held) ASSERT_TRUE(item == nullptr || !item->ended);
        }
        for (unsigned pass = 0; pass < 3; ++pass) {
            for (unsigned cpu = 0; cpu < cpus; ++cpu) {
                if (periods.pass(cpu)) periods.begin(bits(cpus));
                while (GraceItem* item = periods.take_ended()) {
                    static_cast<Item*>(item)->ended = true;
                }
            }
        }
        for (const auto& item : items) EXPECT_TRUE(item->ended || item.get() == published);
    }
}

}  // namespace
}  // namespace annulus::kernel
