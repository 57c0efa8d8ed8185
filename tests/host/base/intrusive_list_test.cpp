// SPDX-License-Identifier: MIT
// Tests of base/intrusive_list.h: each operation, two lists at once, and a random comparison.
#include "base/intrusive_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

namespace annulus {
namespace {

struct FirstTag;
struct SecondTag;

struct Item : ListNode<FirstTag>, ListNode<SecondTag> {
    int value = 0;
};

using List = IntrusiveList<Item, FirstTag>;
using SecondList = IntrusiveList<Item, SecondTag>;

constinit List global_list;

std::vector<int> values(const List& list) {
    std::vector<int> result;
    for (Item& item : list) result.push_back(item.value);
    return result;
}

class IntrusiveListTest : public testing::Test {
protected:
    IntrusiveListTest() {
        for (int i = 0; i < 6; ++i) items[i].value = i;
    }
    Item items[6];
    List list;
};

TEST_F(IntrusiveListTest, PushAndPop) {
    EXPECT_TRUE(list.empty());
    EXPECT_EQ(list.pop_front(), nullptr);
    EXPECT_EQ(list.front(), nullptr);
    list.push_back(items[1]);
    list.push_back(items[2]);
    list.push_front(items[0]);
    EXPECT_TRUE(List::is_linked(items[1]));
    EXPECT_FALSE(List::is_linked(items[3]));
    EXPECT_EQ(values(list), (std::vector{0, 1, 2}));
    EXPECT_EQ(list.pop_back(), &items[2]);
    EXPECT_EQ(list.pop_front(), &items[0]);
    EXPECT_EQ(list.front(), list.back());
    list.remove(items[1]);
    EXPECT_FALSE(List::is_linked(items[1]));
    EXPECT_TRUE(list.empty());
}

TEST_F(IntrusiveListTest, NeighboursAndInsertion) {
    list.push_back(items[1]);
    List::insert_before(items[1], items[0]);
    List::insert_after(items[1], items[2]);
    EXPECT_EQ(values(list), (std::vector{0, 1, 2}));
    EXPECT_EQ(list.next(items[1]), &items[2]);
    EXPECT_EQ(list.next(items[2]), nullptr);
    EXPECT_EQ(list.previous(items[1]), &items[0]);
    EXPECT_EQ(list.previous(items[0]), nullptr);
}

TEST_F(IntrusiveListTest, Splice) {
    List other;
    list.splice_back(other);
    EXPECT_TRUE(list.empty());
    list.push_back(items[2]);
    other.push_back(items[3]);
    other.push_back(items[4]);
    list.splice_back(other);
    EXPECT_TRUE(other.empty());
    other.push_back(items[0]);
    other.push_back(items[1]);
    list.splice_front(other);
    EXPECT_EQ(values(list), (std::vector{0, 1, 2, 3, 4}));
    other.splice_back(list);
    EXPECT_TRUE(list.empty());
    EXPECT_EQ(values(other), (std::vector{0, 1, 2, 3, 4}));
}

TEST_F(IntrusiveListTest, AnObjectInTwoLists) {
    SecondList second;
    list.push_back(items[0]);
    list.push_back(items[1]);
    second.push_back(items[1]);
    second.push_back(items[0]);
    EXPECT_EQ(list.pop_front(), &items[0]);
    EXPECT_TRUE(SecondList::is_linked(items[0]));
    EXPECT_EQ(second.pop_front(), &items[1]);
    EXPECT_EQ(second.pop_front(), &items[0]);
}

TEST_F(IntrusiveListTest, GlobalListIsReadyBeforeMain) {
    global_list.push_back(items[0]);
    EXPECT_EQ(global_list.pop_front(), &items[0]);
}

TEST_F(IntrusiveListTest, MisuseStops) {
    list.push_back(items[0]);
    EXPECT_DEATH(list.push_back(items[0]), "");
    EXPECT_DEATH(List::remove(items[1]), "");
}

TEST(IntrusiveListRandom, MatchesDeque) {
    std::mt19937 random(1);
    std::vector<Item> items(40);
    List list;
    std::deque<int> model;
    for (int i = 0; i < 40; ++i) items[i].value = i;
    for (int step = 0; step < 100'000; ++step) {
        Item& item = items[random() % items.size()];
        if (List::is_linked(item)) {
            List::remove(item);
            model.erase(std::find(model.begin(), model.end(), item.value));
        } else if (random() % 2) {
            list.push_back(item);
            model.push_back(item.value);
        } else {
            list.push_front(item);
            model.push_front(item.value);
        }
        ASSERT_EQ(list.front() ? list.front()->value : -1, model.empty() ? -1 : model.front());
        ASSERT_EQ(list.back() ? list.back()->value : -1, model.empty() ? -1 : model.back());
        if (step % 100 == 0) {
            ASSERT_EQ(values(list), std::vector<int>(model.begin(), model.end()));
        }
    }
}

}  // namespace
}  // namespace annulus
