// SPDX-License-Identifier: MIT
// Tests of the address map: look-up, splits, gaps, hostile numbers, and random operations against a
// plain sorted map.
#include "kernel/memory/address_map.h"

#include <gtest/gtest.h>

#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

namespace annulus::kernel {
namespace {

constexpr uint64_t page = abi::page_size;
constexpr uint64_t low = abi::user_begin;
constexpr uint64_t high = abi::user_end;
constexpr uint64_t top = ~uint64_t{0};

class AddressMapTest : public testing::Test {
protected:
    AddressMapNode& add(uint64_t begin, uint64_t end) {
        nodes_.push_back(std::make_unique<AddressMapNode>());
        nodes_.back()->begin = begin;
        nodes_.back()->end = end;
        EXPECT_TRUE(map.insert(*nodes_.back()).ok());
        return *nodes_.back();
    }
    Error try_add(uint64_t begin, uint64_t end) {
        AddressMapNode node;
        node.begin = begin;
        node.end = end;
        const Error error = map.insert(node).status().code();
        if (node.in_map()) map.remove(node);
        return error;
    }

    AddressMap map;

private:
    std::vector<std::unique_ptr<AddressMapNode>> nodes_;
};

TEST_F(AddressMapTest, FindsRanges) {
    EXPECT_EQ(map.find(low), nullptr);
    EXPECT_EQ(map.first_above(0), nullptr);
    AddressMapNode& second = add(0x30000, 0x34000);
    AddressMapNode& first = add(0x20000, 0x21000);
    EXPECT_EQ(map.find(0x20000), &first);
    EXPECT_EQ(map.find(0x20fff), &first);
    EXPECT_EQ(map.find(0x21000), nullptr);
    EXPECT_EQ(map.find(0x33fff), &second);
    EXPECT_EQ(map.find(0x1ffff), nullptr);
    EXPECT_EQ(map.find(top), nullptr);
    EXPECT_EQ(map.first_above(0), &first);
    EXPECT_EQ(map.first_above(0x20fff), &first);
    EXPECT_EQ(map.first_above(0x21000), &second);
    EXPECT_EQ(map.first_above(0x34000), nullptr);
    EXPECT_EQ(map.first(), &first);
    EXPECT_EQ(map.next(first), &second);
    EXPECT_EQ(map.previous(first), nullptr);
    EXPECT_EQ(map.next(second), nullptr);
    EXPECT_EQ(map.count(), 2u);
    map.remove(first);
    EXPECT_FALSE(first.in_map());
    EXPECT_EQ(map.find(0x20000), nullptr);
    EXPECT_TRUE(map.consistent());
}

TEST_F(AddressMapTest, RefusesBadRanges) {
    add(0x20000, 0x24000);
    EXPECT_EQ(try_add(0x20001, 0x21000), Error::bad_argument);
    EXPECT_EQ(try_add(0x28000, 0x28fff), Error::bad_argument);
    EXPECT_EQ(try_add(0x28000, 0x28000), Error::bad_argument);
    EXPECT_EQ(try_add(0x29000, 0x28000), Error::bad_argument);
    EXPECT_EQ(try_add(top - page + 1, 0), Error::bad_argument);
    EXPECT_EQ(try_add(0, page), Error::out_of_range);
    EXPECT_EQ(try_add(low - page, low + page), Error::out_of_range);
    EXPECT_EQ(try_add(high - page, high + page), Error::out_of_range);
    EXPECT_EQ(try_add(page, top - page + 1), Error::out_of_range);
    EXPECT_EQ(try_add(0x1f000, 0x21000), Error::overlap);
    EXPECT_EQ(try_add(0x23000, 0x25000), Error::overlap);
    EXPECT_EQ(try_add(0x21000, 0x22000), Error::overlap);
    EXPECT_EQ(try_add(0x1f000, 0x25000), Error::overlap);
    EXPECT_EQ(try_add(0x20000, 0x24000), Error::overlap);
    EXPECT_EQ(try_add(0x1f000, 0x20000), Error::ok);
    EXPECT_EQ(try_add(0x24000, 0x25000), Error::ok);
    EXPECT_EQ(try_add(low, low + page), Error::ok);
    EXPECT_EQ(try_add(high - page, high), Error::ok);
    EXPECT_EQ(map.count(), 1u);
}

TEST_F(AddressMapTest, Splits) {
    AddressMapNode& node = add(0x20000, 0x24000);
    AddressMapNode upper, third;
    EXPECT_EQ(map.split(node, 0x20000, upper).status().code(), Error::bad_argument);
    EXPECT_EQ(map.split(node, 0x24000, upper).status().code(), Error::bad_argument);
    EXPECT_EQ(map.split(node, 0x21001, upper).status().code(), Error::bad_argument);
    EXPECT_EQ(map.split(node, 0, upper).status().code(), Error::bad_argument);
    EXPECT_EQ(map.splits_needed(0x21000, 0x22000), 2u);
    EXPECT_EQ(map.splits_needed(0x20000, 0x22000), 1u);
    EXPECT_EQ(map.splits_needed(0x10000, 0x22000), 1u);
    EXPECT_EQ(map.splits_needed(0x20000, 0x24000), 0u);
    EXPECT_EQ(map.splits_needed(0, top), 0u);
    ASSERT_TRUE(map.split(node, 0x21000, upper).ok());
    EXPECT_EQ(node.end, 0x21000u);
    EXPECT_EQ(upper.begin, 0x21000u);
    EXPECT_EQ(upper.end, 0x24000u);
    ASSERT_TRUE(map.split(upper, 0x22000, third).ok());
    EXPECT_EQ(map.splits_needed(0x21000, 0x22000), 0u);
    EXPECT_TRUE(map.covers(0x20000, 0x24000));
    EXPECT_TRUE(map.covers(0x20800, 0x23000));
    EXPECT_FALSE(map.covers(0x1f000, 0x21000));
    EXPECT_FALSE(map.covers(0x23000, 0x25000));
    EXPECT_FALSE(map.covers(0, top));
    EXPECT_TRUE(map.consistent());
    map.remove(upper);
    EXPECT_FALSE(map.covers(0x20000, 0x24000));
    map.remove(third);
    EXPECT_TRUE(map.consistent());
}

// The owner may shorten the node itself, if it inserts the rest at once.
TEST_F(AddressMapTest, SplitByHand) {
    AddressMapNode& node = add(0x20000, 0x24000);
    add(0x30000, 0x31000);
    AddressMapNode upper;
    upper.begin = 0x22000;
    upper.end = 0x24000;
    node.end = 0x22000;
    ASSERT_TRUE(map.insert(upper).ok());
    EXPECT_TRUE(map.consistent());
    map.remove(upper);
    EXPECT_TRUE(map.consistent());
    EXPECT_EQ(*map.find_gap(page, 0x20000), 0x22000u);
}

TEST_F(AddressMapTest, FindsGaps) {
    EXPECT_EQ(*map.find_gap(page, 0), low);
    EXPECT_EQ(*map.find_gap(high - low, 0), low);
    EXPECT_EQ(map.find_gap(high - low, low + page).error(), Error::limit);
    EXPECT_EQ(map.find_gap(high - low + page, 0).error(), Error::limit);
    add(low, 0x20000);
    add(0x22000, 0x30000);
    EXPECT_EQ(*map.find_gap(page, 0), 0x20000u);
    EXPECT_EQ(*map.find_gap(2 * page, 0), 0x20000u);
    EXPECT_EQ(*map.find_gap(2 * page, 0x20001), 0x30000u);
    EXPECT_EQ(*map.find_gap(page, 0x20001), 0x21000u);
    EXPECT_EQ(*map.find_gap(3 * page, 0), 0x30000u);
    EXPECT_EQ(*map.find_gap(page, 0x25000), 0x30000u);
    EXPECT_EQ(*map.find_gap(page, 0x50000), 0x50000u);
    EXPECT_EQ(*map.find_gap(page, high - page), high - page);
    EXPECT_EQ(map.find_gap(page, high).error(), Error::limit);
    EXPECT_EQ(*map.find_gap(page, 0, 0x200000), 0x200000u);
}

TEST_F(AddressMapTest, GapsWithHostileNumbers) {
    add(0x20000, 0x30000);
    EXPECT_EQ(map.find_gap(0, 0).error(), Error::bad_argument);
    EXPECT_EQ(map.find_gap(1, 0).error(), Error::bad_argument);
    EXPECT_EQ(map.find_gap(top, 0).error(), Error::bad_argument);
    EXPECT_EQ(map.find_gap(page, 0, 0).error(), Error::bad_argument);
    EXPECT_EQ(map.find_gap(page, 0, 3 * page).error(), Error::bad_argument);
    EXPECT_EQ(map.find_gap(page, 0, 1).error(), Error::bad_argument);
    EXPECT_EQ(map.find_gap(page, top).error(), Error::limit);
    EXPECT_EQ(map.find_gap(top - page + 1, 0).error(), Error::limit);
    EXPECT_EQ(map.find_gap(top - page + 1, top).error(), Error::limit);
    EXPECT_EQ(map.find_gap(page, 0, uint64_t{1} << 63).error(), Error::limit);
    EXPECT_EQ(map.find_gap(top - page + 1, 0, uint64_t{1} << 63).error(), Error::limit);
}

TEST_F(AddressMapTest, StaysBalanced) {
    for (uint64_t i = 0; i < 20'000; ++i) add(low + 2 * i * page, low + (2 * i + 1) * page);
    EXPECT_TRUE(map.consistent());
    EXPECT_EQ(map.count(), 20'000u);
    EXPECT_EQ(*map.find_gap(2 * page, 0), low + 39'999 * page);
    for (uint64_t i = 0; i < 20'000; i += 2) map.remove(*map.find(low + 2 * i * page));
    EXPECT_TRUE(map.consistent());
    EXPECT_EQ(*map.find_gap(3 * page, low + page), low + 3 * page);
    while (map.first() != nullptr) map.remove(*map.first());
    EXPECT_TRUE(map.empty());
    EXPECT_TRUE(map.consistent());
}

TEST(AddressMapDeathTest, MisuseStops) {
    AddressMap map;
    AddressMap other;
    AddressMapNode node, upper;
    node.begin = 0x20000;
    node.end = 0x22000;
    EXPECT_DEATH(map.remove(node), "in no map");
    ASSERT_TRUE(map.insert(node).ok());
    EXPECT_DEATH((void)map.insert(node), "in a map");
    EXPECT_DEATH((void)map.split(upper, 0x21000, node), "wrong nodes");
    EXPECT_DEATH(other.remove(node), "not in");
}

// The same operations on the map and on a plain sorted map, in a space of few pages, so that ranges
// often touch and collide.
class Comparison {
public:
    Comparison(uint32_t seed, uint64_t pages)
        : random_(seed), pages_(pages), map_(low, low + pages * page) {}

    void step() {
        switch (random_() % 6) {
            case 0:
            case 1: insert(); break;
            case 2: remove(); break;
            case 3: split(); break;
            case 4: look_up(); break;
            default: find_gap(); break;
        }
        ASSERT_EQ(map_.count(), model_.size());
        if (random_() % 16 == 0) {
            ASSERT_TRUE(map_.consistent());
        }
    }

private:
    using Owned = std::unique_ptr<AddressMapNode>;

    uint64_t random_address() { return low + random_() % (pages_ + 1) * page; }

    std::map<uint64_t, Owned>::iterator random_entry() {
        return std::next(model_.begin(), static_cast<int64_t>(random_() % model_.size()));
    }

    void insert() {
        auto node = std::make_unique<AddressMapNode>();
        node->begin = random_address();
        node->end = node->begin + (1 + random_() % 8) * page;
        Error expected = Error::ok;
        for (const auto& [begin, other] : model_) {
            if (begin < node->end && node->begin < other->end) expected = Error::overlap;
        }
        if (node->end > map_.high()) expected = Error::out_of_range;
        ASSERT_EQ(map_.insert(*node).status().code(), expected);
        const uint64_t begin = node->begin;
        if (expected == Error::ok) model_.emplace(begin, std::move(node));
    }

    void remove() {
        if (model_.empty()) return;
        auto entry = random_entry();
        map_.remove(*entry->second);
        model_.erase(entry);
    }

    void split() {
        if (model_.empty()) return;
        AddressMapNode& node = *random_entry()->second;
        auto upper = std::make_unique<AddressMapNode>();
        const uint64_t address = node.begin + random_() % 10 * page;
        const uint64_t old_end = node.end;
        const bool inside = node.begin < address && address < node.end;
        ASSERT_EQ(map_.split(node, address, *upper).ok(), inside);
        if (!inside) return;
        ASSERT_EQ(node.end, address);
        ASSERT_EQ(upper->end, old_end);
        model_.emplace(address, std::move(upper));
    }

    AddressMapNode* model_first_above(uint64_t address) const {
        for (const auto& [begin, node] : model_) {
            if (node->end > address) return node.get();
        }
        return nullptr;
    }

    void look_up() {
        const uint64_t address = random_address() - 100 + random_() % 200;
        AddressMapNode* above = model_first_above(address);
        ASSERT_EQ(map_.first_above(address), above);
        ASSERT_EQ(map_.find(address),
                  above != nullptr && above->begin <= address ? above : nullptr);
        const uint64_t end = random_address();
        bool covered = true;
        for (uint64_t at = address; at < end; at = (at / page + 1) * page) {
            const AddressMapNode* node = model_first_above(at);
            covered = covered && node != nullptr && node->begin <= at;
        }
        ASSERT_EQ(map_.covers(address, end), covered);
    }

    bool is_free(uint64_t begin, uint64_t size) const {
        const AddressMapNode* above = model_first_above(begin);
        return begin + size <= map_.high() && (above == nullptr || above->begin >= begin + size);
    }

    std::optional<uint64_t> model_gap(uint64_t size, uint64_t hint, uint64_t alignment) const {
        uint64_t at = (std::max(hint, low) + alignment - 1) / alignment * alignment;
        for (; at < map_.high(); at += alignment) {
            if (is_free(at, size)) return at;
        }
        return std::nullopt;
    }

    void find_gap() {
        const uint64_t size = (1 + random_() % 24) * page;
        const uint64_t hint = random_address() - random_() % page;
        const auto expected = model_gap(size, hint, page);
        auto found = map_.find_gap(size, hint);
        ASSERT_EQ(found.ok(), expected.has_value());
        if (expected) {
            ASSERT_EQ(*found, *expected);
        }
        // With a larger alignment the answer must be right, and exist where there is room to spare.
        const uint64_t alignment = page << random_() % 4;
        auto aligned = map_.find_gap(size, hint, alignment);
        if (aligned.ok()) {
            ASSERT_EQ(*aligned % alignment, 0u);
            ASSERT_GE(*aligned, hint);
            ASSERT_TRUE(is_free(*aligned, size));
        } else {
            ASSERT_EQ(aligned.error(), Error::limit);
            ASSERT_FALSE(model_gap(size + 2 * alignment, hint, page).has_value());
        }
    }

    std::mt19937 random_;
    uint64_t pages_;
    AddressMap map_;
    std::map<uint64_t, Owned> model_;
};

TEST(AddressMapRandom, MatchesAModel) {
    for (uint32_t seed = 0; seed < 12; ++seed) {
        Comparison comparison(seed, seed % 3 == 0 ? 64 : 600);
        for (int step = 0; step < 15'000; ++step) {
            comparison.step();
            if (testing::Test::HasFatalFailure()) FAIL() << "seed " << seed << " step " << step;
        }
    }
}

}  // namespace
}  // namespace annulus::kernel
