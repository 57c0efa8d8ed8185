// SPDX-License-Identifier: MIT
// Tests of the handle table: its limits, and random operations against a plain model.
#include "kernel/object/handle_table.h"

#include "kernel/object/semaphore.h"
#include "kernel/schedule/thread.h"
#include "tests/host/handles/fakes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

namespace annulus::kernel {
namespace {

using test::HandleWorld;

constexpr abi::ObjectType types[] = {abi::ObjectType::semaphore, abi::ObjectType::memory,
                                     abi::ObjectType::table, abi::ObjectType::ring};

struct TestObject : Object {
    explicit TestObject(const ObjectKind& kind) : Object(kind, nullptr, sizeof(TestObject)) {}
};

// The test holds one reference to each, so none ends.
struct Objects {
    Objects() {
        for (unsigned i = 0; i < 4; ++i) kinds[i].type = types[i];
        for (unsigned i = 0; i < 8; ++i) all.push_back(std::make_unique<TestObject>(kinds[i % 4]));
    }
    ObjectKind kinds[4] = {};
    std::vector<std::unique_ptr<TestObject>> all;
};

class HandleTableTest : public testing::Test {
protected:
    void make(HandleTable& table, uint32_t slots) {
        ASSERT_TRUE(HandleTable::create(table, world.root(), slots).ok());
        while (!table.prepare_some()) {
        }
    }
    void end(HandleTable& table) {
        uint32_t cursor = 0;
        while (!table.close_some(cursor, 3)) {
        }
        table.destroy();
    }
    Result<abi::Handle> insert(HandleTable& table, bool landing = false) {
        return table.insert(Ref<Object>::share(*objects.all[0]), abi::Rights{1}, 0, landing);
    }

    HandleWorld world;
    Objects objects;
};

TEST_F(HandleTableTest, FillsToItsLastSlotAndNotBeyond) {
    HandleTable table;
    make(table, 5);  // slot 0 names nothing
    std::set<abi::Handle> handles;
    for (unsigned i = 0; i < 4; ++i) {
        const auto handle = insert(table);
        ASSERT_TRUE(handle.ok());
        EXPECT_TRUE(handles.insert(*handle).second);
        EXPECT_NE(abi::slot_of(*handle), 0u);
    }
    EXPECT_EQ(insert(table).error(), Error::no_room);
    EXPECT_EQ(insert(table, true).error(), Error::no_room);
    EXPECT_EQ(objects.all[0]->references.load(), 5u);
    EXPECT_EQ(table.used(), 4u);
    end(table);
    EXPECT_EQ(objects.all[0]->references.load(), 1u);
}

TEST_F(HandleTableTest, IsPaidWholeOrNotAtAll) {
    abi::BudgetLimits limits{};
    limits.amount[static_cast<unsigned>(abi::Resource::handles)] = 128;
    limits.amount[static_cast<unsigned>(abi::Resource::pages)] = 1;
    limits.cpu_weight = 100;
    Budget& root = world.root();
    Budget budget(nullptr, sizeof(Budget), &root, limits);
    HandleTable table;
    EXPECT_EQ(HandleTable::create(table, budget, 129).status(),
              Status(Error::no_budget, static_cast<uint16_t>(abi::Resource::handles)));
    ASSERT_TRUE(budget.charge(abi::Resource::pages, 1).ok());
    EXPECT_EQ(HandleTable::create(table, budget, 128).status(),
              Status(Error::no_budget, static_cast<uint16_t>(abi::Resource::pages)));
    EXPECT_EQ(world.used(budget, abi::Resource::handles), 0u);
    budget.uncharge(abi::Resource::pages, 1);
    ASSERT_TRUE(HandleTable::create(table, budget, 128).ok());
    while (!table.prepare_some()) {
    }
    EXPECT_EQ(world.used(budget, abi::Resource::handles), 128u);
    EXPECT_EQ(world.used(budget, abi::Resource::pages), 1u);
    table.destroy();
    EXPECT_EQ(world.used(budget, abi::Resource::handles), 0u);
    EXPECT_EQ(world.used(budget, abi::Resource::pages), 0u);
}

TEST_F(HandleTableTest, EachReservationCountsThoseBeforeIt) {
    HandleTable table;
    make(table, 9);
    ASSERT_TRUE(table.reserve(5).ok());
    EXPECT_EQ(table.reserve(4).error(), Error::no_room);
    ASSERT_TRUE(table.reserve(3).ok());
    EXPECT_EQ(table.reserve(1).error(), Error::no_room);
    // What is set aside is only for handles that arrive.
    EXPECT_EQ(insert(table).error(), Error::no_room);
    EXPECT_EQ(table.reserve_value().error(), Error::no_room);
    for (unsigned i = 0; i < 8; ++i) EXPECT_TRUE(insert(table, true).ok());
    EXPECT_EQ(insert(table, true).error(), Error::no_room);
    EXPECT_EQ(table.reserve(1).error(), Error::no_room);
    table.unreserve(8);
    EXPECT_EQ(table.reserve(1).error(), Error::no_room);
    end(table);
}

TEST_F(HandleTableTest, ASlotIsRetiredBeforeItsGenerationComesAgain) {
    HandleTable table;
    make(table, 2);
    // As if the slot had been used that often.
    table.entries()[1].word = entry_word(0xfffffffd, abi::ObjectType::none, 0);
    for (const uint32_t generation : {0xfffffffd, 0xfffffffe}) {
        const auto handle = insert(table);
        ASSERT_TRUE(handle.ok());
        EXPECT_EQ(abi::generation_of(*handle), generation);
        ASSERT_TRUE(table.close(*handle).ok());
        EXPECT_EQ(table.close(*handle).error(), Error::bad_handle);
    }
    EXPECT_EQ(insert(table).error(), Error::no_room);
    EXPECT_EQ(table.reserve(1).error(), Error::no_room);
    end(table);
}

TEST_F(HandleTableTest, MovesFourOrNone) {
    HandleTable from, to;
    make(from, 8);
    make(to, 5);
    uint64_t words[abi::message_words] = {};
    for (unsigned i = 0; i < 4; ++i) words[i] = *insert(from);
    ASSERT_TRUE(insert(to).ok());
    ASSERT_TRUE(from.mark_busy(words, 0xf).ok());
    uint64_t before[abi::message_words];
    std::copy(std::begin(words), std::end(words), before);
    EXPECT_EQ(HandleTable::move(from, to, words, 0xf).error(), Error::no_room);
    EXPECT_TRUE(std::equal(std::begin(words), std::end(words), before));
    EXPECT_EQ(objects.all[0]->references.load(), 6u);
    EXPECT_EQ(from.close(words[3]).error(), Error::busy);
    ASSERT_TRUE(HandleTable::move(from, to, words, 0x7).ok());
    EXPECT_EQ(from.used(), 1u);
    EXPECT_EQ(to.used(), 4u);
    EXPECT_EQ(objects.all[0]->references.load(), 6u);
    end(from);
    end(to);
}

}  // namespace
}  // namespace annulus::kernel
