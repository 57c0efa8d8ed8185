// SPDX-License-Identifier: MIT
// The lease tree: at once for the revoked cell, in chunks for what is below it, nothing forgotten.
#include "kernel/object/lease_tree.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

namespace annulus::kernel {
namespace {

// Cells with their epochs; freed ones are only marked.
class Forest {
public:
    struct Cell {
        LeaseCell cell;
        std::atomic<uint32_t> epoch{1};
        bool freed = false;
        Cell* parent = nullptr;
        bool valid() const { return epoch.load() == 1; }
    };

    Cell* add(Cell* parent, uint32_t uses = 1) {
        auto made = std::make_unique<Cell>();
        made->cell.epoch = &made->epoch;
        made->cell.uses = uses;
        made->parent = parent;
        if (!tree.add(made->cell, parent == nullptr ? nullptr : &parent->cell).ok()) return nullptr;
        all.push_back(std::move(made));
        return all.back().get();
    }
    // As lease.cpp frees: the cell and what becomes useless above it.
    void free(LeaseCell* cell) {
        while (cell != nullptr) {
            Cell* found = find(cell);
            ASSERT_FALSE(found->freed) << "freed twice";
            found->freed = true;
            LeaseCell* parent = cell->parent;
            cell = parent == nullptr ? nullptr : tree.take_useless(*parent);
        }
    }
    void revoke(Cell* cell) { free(tree.revoke(cell->cell)); }
    void drop_use(Cell* cell) { free(tree.drop_use(cell->cell)); }
    // One chunk; true when nothing is left to do.
    bool step(unsigned limit) {
        while (LeaseCell* cell = tree.take_dead(limit)) free(cell);
        return !tree.dying();
    }
    unsigned freed() const {
        unsigned count = 0;
        for (const auto& cell : all) count += cell->freed ? 1 : 0;
        return count;
    }

    LeaseTree tree;
    std::vector<std::unique_ptr<Cell>> all;

private:
    Cell* find(LeaseCell* cell) {
        for (const auto& one : all) {
            if (&one->cell == cell) return one.get();
        }
        return nullptr;
    }
};

TEST(LeaseTree, TheDepthIsLimited) {
    Forest forest;
    Forest::Cell* cell = nullptr;
    for (unsigned i = 0; i < abi::lease_depth_max; ++i) {
        cell = forest.add(cell);
        ASSERT_NE(cell, nullptr);
    }
    EXPECT_EQ(forest.add(cell), nullptr);
}

TEST(LeaseTree, ACellEndsWithItsLastUseAndItsLastChild) {
    Forest forest;
    Forest::Cell* parent = forest.add(nullptr);
    Forest::Cell* child = forest.add(parent);
    forest.drop_use(parent);
    EXPECT_FALSE(parent->freed) << "the child counts on it";
    EXPECT_TRUE(parent->valid());
    forest.drop_use(child);
    EXPECT_TRUE(child->freed);
    EXPECT_TRUE(parent->freed);
    EXPECT_FALSE(child->valid()) << "the index may be used again, with another epoch";
}

TEST(LeaseTree, RevokingIsImmediateForTheCellAndChunkedBelow) {
    Forest forest;
    Forest::Cell* parent = forest.add(nullptr);
    for (int i = 0; i < 200; ++i) forest.add(parent);
    forest.revoke(parent);
    EXPECT_FALSE(parent->valid());
    EXPECT_EQ(forest.freed(), 0u);
    unsigned steps = 0;
    unsigned before = 0;
    while (!forest.step(abi::chunk_items)) {
        unsigned invalid = 0;
        for (const auto& cell : forest.all) invalid += cell->valid() ? 0 : 1;
        EXPECT_LE(invalid - before, abi::chunk_items + 1);
        before = invalid;
        ++steps;
    }
    EXPECT_GE(steps, 201u * 2 / abi::chunk_items);
    EXPECT_EQ(forest.freed(), 201u);
}

TEST(LeaseTree, RevokingTheLastChildFreesAUselessParent) {
    Forest forest;
    Forest::Cell* parent = forest.add(nullptr);
    Forest::Cell* child = forest.add(parent);
    forest.drop_use(parent);
    forest.revoke(child);
    EXPECT_TRUE(parent->freed);
    EXPECT_TRUE(forest.step(64));
    EXPECT_TRUE(child->freed);
}

TEST(LeaseTree, RandomTreesEndEmpty) {
    std::mt19937 random(11);
    for (int round = 0; round < 200; ++round) {
        Forest forest;
        for (int i = 0; i < 60; ++i) {
            std::vector<Forest::Cell*> live;
            for (const auto& cell : forest.all) {
                if (cell->valid() && !cell->freed) live.push_back(cell.get());
            }
            const unsigned what = random() % 8;
            if (live.empty() || what < 5) {
                forest.add(live.empty() || what == 0 ? nullptr : live[random() % live.size()]);
            } else if (what == 5) {
                Forest::Cell* cell = live[random() % live.size()];
                if (cell->cell.uses != 0) forest.drop_use(cell);
            } else if (what == 6) {
                forest.revoke(live[random() % live.size()]);
            } else {
                forest.step(1 + random() % 5);
            }
        }
        while (!forest.step(3)) {
        }
        // No living cell lies below a revoked one.
        for (const auto& cell : forest.all) {
            if (!cell->valid()) EXPECT_TRUE(cell->freed);
            for (Forest::Cell* above = cell->parent; above != nullptr; above = above->parent) {
                if (cell->valid()) EXPECT_TRUE(above->valid());
            }
        }
        for (const auto& cell : forest.all) {
            if (cell->valid() && cell->cell.uses != 0) forest.drop_use(cell.get());
        }
        EXPECT_EQ(forest.freed(), forest.all.size());
    }
}

}  // namespace
}  // namespace annulus::kernel
