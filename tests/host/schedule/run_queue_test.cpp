// SPDX-License-Identifier: MIT
// Tests of the run queue: order, priorities that change, misuse, and a random comparison.
#include "kernel/schedule/run_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <vector>

namespace annulus::kernel {
namespace {

TEST(RunQueue, HighestFirstThenFirstCome) {
    RunQueue queue;
    RunQueueNode nodes[6];
    const uint8_t priorities[6] = {5, 63, 5, 0, 63, 5};
    EXPECT_TRUE(queue.empty());
    EXPECT_TRUE(queue.looks_empty());
    EXPECT_EQ(queue.pop_highest(), nullptr);
    for (int i = 0; i < 6; ++i) {
        nodes[i].priority = priorities[i];
        queue.push_back(nodes[i]);
    }
    EXPECT_EQ(queue.size(), 6u);
    EXPECT_EQ(queue.highest(), 63);
    for (int expected : {1, 4, 0, 2, 5, 3}) EXPECT_EQ(queue.pop_highest(), &nodes[expected]);
    EXPECT_TRUE(queue.empty());
}

TEST(RunQueue, FrontGoesFirst) {
    RunQueue queue;
    RunQueueNode first, second;
    queue.push_back(first);
    queue.push_front(second);
    EXPECT_EQ(queue.pop_highest(), &second);
    EXPECT_EQ(queue.pop_highest(), &first);
}

// Who asks has the lock of one queue; the node may be put into another one at that moment.
TEST(RunQueue, ContainsWhatIsInItsListsAlone) {
    RunQueue one;
    RunQueue other;
    RunQueueNode node;
    other.push_back(node);
    EXPECT_FALSE(one.contains(node));
    EXPECT_TRUE(other.contains(node));
    EXPECT_EQ(other.pop_highest(), &node);
    EXPECT_FALSE(other.contains(node));
    one.push_front(node);
    EXPECT_TRUE(one.contains(node));
    EXPECT_FALSE(other.contains(node));
    one.remove(node);
    EXPECT_FALSE(one.contains(node));
}

TEST(RunQueue, PriorityMayChangeWhileQueued) {
    RunQueue queue;
    RunQueueNode node;
    node.priority = 7;
    queue.push_back(node);
    node.priority = 9;
    EXPECT_EQ(queue.highest(), 7);
    queue.remove(node);
    EXPECT_TRUE(queue.empty());
    EXPECT_FALSE(queue.contains(node));
    queue.push_back(node);
    EXPECT_EQ(queue.highest(), 9);
    EXPECT_TRUE(queue.contains(node));
}

TEST(RunQueue, TheFirstThatFits) {
    RunQueue queue;
    std::vector<RunQueueNode> nodes(abi::chunk_items + 2);
    const auto fits = [&](unsigned index) {
        return queue.pop_first([&](const RunQueueNode& each) { return &each == &nodes[index]; });
    };
    EXPECT_EQ(fits(0), nullptr);
    nodes[0].priority = 40;
    nodes[1].priority = 20;
    for (RunQueueNode& node : nodes) queue.push_back(node);
    EXPECT_EQ(queue.pop_first([](const RunQueueNode&) { return false; }), nullptr);
    EXPECT_EQ(fits(1), &nodes[1]);
    EXPECT_FALSE(nodes[1].linked());
    // It looks at so many, the more urgent ones first.
    EXPECT_EQ(fits(abi::chunk_items + 1), nullptr);
    EXPECT_EQ(fits(abi::chunk_items), &nodes[abi::chunk_items]);
    EXPECT_EQ(queue.highest(), 40);
    EXPECT_EQ(queue.size(), abi::chunk_items);
}

TEST(RunQueueDeathTest, MisuseStops) {
    RunQueue queue;
    RunQueueNode node;
    EXPECT_DEATH(queue.remove(node), "in none");
    node.priority = 64;
    EXPECT_DEATH(queue.push_back(node), "does not exist");
    node.priority = 63;
    queue.push_back(node);
    EXPECT_DEATH(queue.push_front(node), "queued already");
}

TEST(RunQueue, RandomOperationsMatchAModel) {
    std::mt19937 random(5);
    RunQueue queue;
    std::vector<RunQueueNode> nodes(200);
    std::map<int, std::deque<RunQueueNode*>, std::greater<>> model;
    const auto forget = [&](RunQueueNode* node) {
        for (auto& [priority, list] : model) std::erase(list, node);
        std::erase_if(model, [](const auto& entry) { return entry.second.empty(); });
    };
    for (int step = 0; step < 200'000; ++step) {
        RunQueueNode& node = nodes[random() % nodes.size()];
        if (random() % 3 == 0) {
            RunQueueNode* expected = model.empty() ? nullptr : model.begin()->second.front();
            ASSERT_EQ(queue.pop_highest(), expected);
            if (expected != nullptr) forget(expected);
        } else if (queue.contains(node)) {
            queue.remove(node);
            forget(&node);
        } else {
            node.priority = static_cast<uint8_t>(random() % 64);
            if (random() % 2) {
                queue.push_back(node);
                model[node.priority].push_back(&node);
            } else {
                queue.push_front(node);
                model[node.priority].push_front(&node);
            }
        }
        ASSERT_EQ(queue.empty(), model.empty());
        if (!model.empty()) {
            ASSERT_EQ(queue.highest(), model.begin()->first);
        }
    }
}

}  // namespace
}  // namespace annulus::kernel
