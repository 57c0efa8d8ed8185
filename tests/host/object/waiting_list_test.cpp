// SPDX-License-Identifier: MIT
// The list of what waits: last come, first served, and anybody may leave from anywhere.
#include "kernel/object/waiting_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <utility>
#include <vector>

namespace annulus::kernel {
namespace {

struct Waiter {
    uint64_t next_waiting = 0;
    Waiter* previous_waiting = nullptr;
};
using List = WaitingList<Waiter>;

TEST(WaitingList, AgreesWithAVectorWhateverIsDone) {
    std::mt19937 random(1);
    Waiter waiters[20];
    List list;
    std::vector<Waiter*> expected;
    for (unsigned step = 0; step < 20'000; ++step) {
        Waiter& waiter = waiters[random() % std::size(waiters)];
        if (!List::contains(waiter)) {
            list.push_front(waiter);
            expected.insert(expected.begin(), &waiter);
        } else {
            list.remove(waiter);
            std::erase(expected, &waiter);
        }
        ASSERT_EQ(list.empty(), expected.empty());
        ASSERT_EQ(list.front(), expected.empty() ? nullptr : expected.front());
        for (Waiter& one : waiters) {
            const bool waits = std::ranges::find(expected, &one) != expected.end();
            ASSERT_EQ(List::contains(one), waits);
        }
    }
    while (Waiter* first = list.front()) {
        ASSERT_EQ(first, expected.front());
        list.remove(*first);
        expected.erase(expected.begin());
    }
    EXPECT_TRUE(expected.empty());
}

// As the fast paths do it: they write the head, and the link of the second element alone.
TEST(WaitingList, TakesBackAHeadThatOthersPushedAndPopped) {
    Waiter waiters[4];
    List list;
    list.push_front(waiters[0]);
    list.push_front(waiters[1]);
    uint64_t head = list.head();
    // Popped.
    head = std::exchange(waiters[1].next_waiting, List::unlisted);
    for (Waiter& waiter : {std::ref(waiters[2]), std::ref(waiters[3])}) {
        waiter.next_waiting = head;
        if (head != List::last) reinterpret_cast<Waiter*>(head)->previous_waiting = &waiter;
        head = reinterpret_cast<uint64_t>(&waiter);
    }
    list.set_head(head);
    list.remove(waiters[2]);
    EXPECT_EQ(list.front(), &waiters[3]);
    list.remove(waiters[3]);
    EXPECT_EQ(list.front(), &waiters[0]);
    list.remove(waiters[0]);
    EXPECT_TRUE(list.empty());
    EXPECT_EQ(list.head(), List::last);
}

}  // namespace
}  // namespace annulus::kernel
