// SPDX-License-Identifier: MIT
// WaitQueue: order, and leaving from anywhere.
#include "runtime/coroutine/wait_queue.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace annulus {
namespace {

struct Waiting : WaitQueue::Node {
    int number = 0;
};

TEST(WaitQueue, KeepsTheOrderOfThoseWhoStay) {
    std::mt19937 random(11);
    std::deque<Waiting> nodes(64);
    for (int i = 0; i < 64; ++i) nodes[static_cast<size_t>(i)].number = i;
    WaitQueue queue;
    std::deque<int> expected;
    std::deque<int> outside;
    for (int i = 0; i < 64; ++i) outside.push_back(i);
    for (int step = 0; step < 20'000; ++step) {
        const unsigned what = random() % 3;
        if (what == 0 && !outside.empty()) {
            expected.push_back(outside.front());
            queue.push_back(nodes[static_cast<size_t>(outside.front())]);
            outside.pop_front();
        } else if (what == 1) {
            auto* const first = static_cast<Waiting*>(queue.pop_front());
            ASSERT_EQ(first == nullptr, expected.empty());
            if (first == nullptr) continue;
            ASSERT_EQ(first->number, expected.front());
            outside.push_back(expected.front());
            expected.pop_front();
        } else if (!expected.empty()) {
            const auto gone = expected.begin() + static_cast<long>(random() % expected.size());
            WaitQueue::remove(nodes[static_cast<size_t>(*gone)]);
            outside.push_back(*gone);
            expected.erase(gone);
        }
        const auto* const front = static_cast<Waiting*>(queue.front());
        ASSERT_EQ(front == nullptr, expected.empty());
        if (front != nullptr) ASSERT_EQ(front->number, expected.front());
    }
}

TEST(WaitQueue, TakesAllOfAnother) {
    Waiting first, second;
    WaitQueue from, to;
    from.push_back(first);
    from.push_back(second);
    to.take_all(from);
    EXPECT_EQ(from.front(), nullptr);
    WaitQueue::remove(first);
    EXPECT_EQ(to.pop_front(), &second);
    EXPECT_EQ(to.pop_front(), nullptr);
}

}  // namespace
}  // namespace annulus
