// SPDX-License-Identifier: MIT
// AddressMap: the ranges in use of one address space, in order, with quick answers to "what is at
// this address" and "where is room".
//
//   a balanced tree (AVL) by address; each node also knows the largest gap in its sub-tree
//
//            [30..40)  largest_gap 15         the gap of a node lies directly before it:
//           /        \                        from the end of its neighbour below
//     [10..15)      [50..55)
//     gap 10        gap 10
//
// The map allocates nothing: a node is the base class of what the owner keeps about a range, so a
// split needs one more node, which the owner has made (and paid for) beforehand.
// Invariants: ranges are page aligned, not empty, disjoint, within [low, high). Two ranges that
// touch stay two.
// Locking: none; the owner guards the map and the addresses of its nodes.
// Costs: log n for everything but next, previous and first. Recursion is as deep as the tree is
// high: at most 1.45 log2(n), 35 for 16 million nodes.
#pragma once

#include "abi/limits.h"
#include "base/intrusive_list.h"
#include "base/result.h"

#include <stdint.h>

namespace annulus::kernel {

struct AddressMapLink;

// The range [begin, end). The owner writes both before insert; while the node is in a map they
// change through split() only (or as it says there).
struct AddressMapNode : ListNode<AddressMapLink> {
    uint64_t begin = 0;
    uint64_t end = 0;

    bool in_map() const { return linked(); }
    bool contains(uint64_t address) const { return begin <= address && address < end; }

private:
    friend class AddressMap;
    AddressMapNode* left_ = nullptr;
    AddressMapNode* right_ = nullptr;
    uint64_t gap_ = 0;          // free bytes right before the range
    uint64_t largest_gap_ = 0;  // of the ranges of its sub-tree
    uint8_t height_ = 1;
};

class AddressMap {
public:
    constexpr AddressMap() = default;
    // Both page aligned, low <= high.
    constexpr AddressMap(uint64_t low, uint64_t high) : low_(low), high_(high) {}
    AddressMap(const AddressMap&) = delete;
    AddressMap& operator=(const AddressMap&) = delete;

    // bad_argument: not page aligned, or empty; out_of_range: not within [low, high).
    Result<void> check_range(uint64_t begin, uint64_t end) const;

    // Adds a range; the node is in no map. Errors as above; overlap: some of it is taken.
    Result<void> insert(AddressMapNode& node);

    // The node is in this map. It keeps its addresses.
    void remove(AddressMapNode& node);

    // Ends `node` (of this map) at `address` and makes `upper` (of no map) the rest of it.
    // bad_argument: not page aligned, or not strictly inside the range. An owner that has to
    // shorten the node under another lock may do so itself and insert the rest at once.
    Result<void> split(AddressMapNode& node, uint64_t address, AddressMapNode& upper);

    // How many splits make [begin, end) a border of ranges at both ends: 0 to 2.
    uint32_t splits_needed(uint64_t begin, uint64_t end) const;

    // The range that holds the address, or null. Any address may be asked for.
    AddressMapNode* find(uint64_t address) const;
    // The first range that ends above the address (it holds it, or comes next), or null.
    AddressMapNode* first_above(uint64_t address) const;
    // The neighbours of a node of this map, or null.
    AddressMapNode* next(const AddressMapNode& node) const { return order_.next(node); }
    AddressMapNode* previous(const AddressMapNode& node) const { return order_.previous(node); }
    AddressMapNode* first() const { return order_.front(); }

    // True if no byte of [begin, end) is outside some range.
    bool covers(uint64_t begin, uint64_t end) const;

    // The lowest address at or above `hint` where `size` bytes are free, aligned to `alignment`.
    // Above page alignment a gap may be passed over in which the block fits only just.
    // bad_argument: size 0 or not whole pages, or alignment no power of two or below a page; limit:
    // there is no such gap.
    Result<uint64_t> find_gap(uint64_t size, uint64_t hint,
                              uint64_t alignment = abi::page_size) const;

    bool empty() const { return order_.empty(); }
    uint64_t count() const { return count_; }
    uint64_t low() const { return low_; }
    uint64_t high() const { return high_; }

    // Compares everything that the map keeps with what it should be; for tests. Takes n steps.
    bool consistent() const;

private:
    using Node = AddressMapNode;

    struct Path;

    static void update(Node& node);
    static int slope(const Node& node);
    static Node* rotate_left(Node& node);
    static Node* rotate_right(Node& node);
    static Node* balance(Node& node);
    static void repair(const Path& path, const Node* changed);
    static void take_out(Path& path, Node& node, Node* above);
    uint64_t gap_before(const Node& node) const;
    // Where the gap before a node begins.
    static uint64_t gap_begin(const Node& node) { return node.begin - node.gap_; }
    static Node* find_gap_below(Node* root, uint64_t size, uint64_t from);
    bool consistent_below(const Node* root, const Node*& expected) const;

    uint64_t low_ = abi::user_begin;
    uint64_t high_ = abi::user_end;
    uint64_t count_ = 0;
    Node* root_ = nullptr;
    IntrusiveList<Node, AddressMapLink> order_;
};

}  // namespace annulus::kernel
