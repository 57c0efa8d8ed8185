// SPDX-License-Identifier: MIT
// The tree of an address map: balance, gaps, and the searches.
#include "kernel/memory/address_map.h"

#include "base/align.h"
#include "kernel/assert.h"

#include <algorithm>

namespace annulus::kernel {

Result<void> AddressMap::check_range(uint64_t begin, uint64_t end) const {
    if (!is_aligned(begin | end, abi::page_size) || begin >= end) return Error::bad_argument;
    if (begin < low_ || end > high_) return Error::out_of_range;
    return {};
}

// --- the tree -----------------------------------------------------------------------------------

// Where the gap before a node begins.
uint64_t AddressMap::gap_begin(const Node& node) const {
    const Node* below = order_.previous(node);
    return below != nullptr ? below->end : low_;
}

// Recomputes what a node knows about its sub-tree.
void AddressMap::update(Node& node) const {
    node.largest_gap_ = node.begin - gap_begin(node);
    node.height_ = 1;
    for (const Node* child : {node.left_, node.right_}) {
        if (child == nullptr) continue;
        node.largest_gap_ = std::max(node.largest_gap_, child->largest_gap_);
        node.height_ = std::max(node.height_, static_cast<uint8_t>(child->height_ + 1));
    }
}

//   node               right
//   |-- a              |-- node         Rotating left; rotating right is the reverse. The functions
//   '-- right    ->    |   |-- a        below return the new root of the sub-tree.
//       |-- b          |   '-- b
//       '-- c          '-- c
AddressMap::Node* AddressMap::rotate_left(Node& node) const {
    Node& right = *node.right_;
    node.right_ = right.left_;
    right.left_ = &node;
    update(node);
    update(right);
    return &right;
}

AddressMap::Node* AddressMap::rotate_right(Node& node) const {
    Node& left = *node.left_;
    node.left_ = left.right_;
    left.right_ = &node;
    update(node);
    update(left);
    return &left;
}

// How much higher the right sub-tree is than the left one.
int AddressMap::slope(const Node& node) {
    const int left = node.left_ != nullptr ? node.left_->height_ : 0;
    const int right = node.right_ != nullptr ? node.right_->height_ : 0;
    return right - left;
}

// Both sub-trees are right, and their heights differ by at most 2: makes that at most 1.
AddressMap::Node* AddressMap::balance(Node& node) const {
    update(node);
    const int difference = slope(node);
    if (difference > 1) {
        if (slope(*node.right_) < 0) node.right_ = rotate_right(*node.right_);
        return rotate_left(node);
    }
    if (difference < -1) {
        if (slope(*node.left_) > 0) node.left_ = rotate_left(*node.left_);
        return rotate_right(node);
    }
    return &node;
}

// The neighbour above a new node, whose gap changes, lies on the path: the node has no child.
AddressMap::Node* AddressMap::insert_below(Node* root, Node& node) const {
    if (root == nullptr) {
        update(node);
        return &node;
    }
    Node*& side = node.begin < root->begin ? root->left_ : root->right_;
    side = insert_below(side, node);
    return balance(*root);
}

// Takes the lowest node out of the sub-tree.
AddressMap::Node* AddressMap::take_first(Node& root, Node*& first) const {
    if (root.left_ == nullptr) {
        first = &root;
        return root.right_;
    }
    root.left_ = take_first(*root.left_, first);
    return balance(root);
}

// The neighbour above the removed node, whose gap changes, takes its place or lies on the path.
AddressMap::Node* AddressMap::remove_below(Node* root, const Node& node) const {
    kernel_assert(root != nullptr, "removed a range from a map that it is not in");
    if (root != &node) {
        Node*& side = node.begin < root->begin ? root->left_ : root->right_;
        side = remove_below(side, node);
        return balance(*root);
    }
    if (node.right_ == nullptr) return node.left_;
    Node* next = nullptr;
    Node* right = take_first(*node.right_, next);
    next->left_ = node.left_;
    next->right_ = right;
    return balance(*next);
}

// --- changes ------------------------------------------------------------------------------------

Result<void> AddressMap::insert(AddressMapNode& node) {
    kernel_assert(!node.in_map(), "inserted a range that is in a map");
    TRY(check_range(node.begin, node.end));
    Node* above = first_above(node.begin);
    if (above != nullptr && above->begin < node.end) return Error::overlap;
    if (above != nullptr) {
        order_.insert_before(*above, node);
    } else {
        order_.push_back(node);
    }
    node.left_ = nullptr;
    node.right_ = nullptr;
    root_ = insert_below(root_, node);
    ++count_;
    return {};
}

void AddressMap::remove(AddressMapNode& node) {
    kernel_assert(node.in_map(), "removed a range that is in no map");
    order_.remove(node);
    root_ = remove_below(root_, node);
    --count_;
}

Result<void> AddressMap::split(AddressMapNode& node, uint64_t address, AddressMapNode& upper) {
    kernel_assert(node.in_map() && !upper.in_map(), "split with the wrong nodes");
    if (!is_aligned(address, abi::page_size) || address <= node.begin || address >= node.end) {
        return Error::bad_argument;
    }
    upper.begin = address;
    upper.end = node.end;
    node.end = address;
    return insert(upper);
}

// --- look-up ------------------------------------------------------------------------------------

AddressMapNode* AddressMap::first_above(uint64_t address) const {
    Node* best = nullptr;
    for (Node* node = root_; node != nullptr;) {
        if (node->end > address) {
            best = node;
            node = node->left_;
        } else {
            node = node->right_;
        }
    }
    return best;
}

AddressMapNode* AddressMap::find(uint64_t address) const {
    Node* node = first_above(address);
    return node != nullptr && node->begin <= address ? node : nullptr;
}

uint32_t AddressMap::splits_needed(uint64_t begin, uint64_t end) const {
    const Node* at_begin = find(begin);
    const Node* at_end = find(end);
    return (at_begin != nullptr && at_begin->begin != begin ? 1 : 0) +
           (at_end != nullptr && at_end->begin != end ? 1 : 0);
}

bool AddressMap::covers(uint64_t begin, uint64_t end) const {
    const Node* node = find(begin);
    while (begin < end) {
        if (node == nullptr || node->begin > begin) return false;
        begin = node->end;
        node = next(*node);
    }
    return true;
}

// The lowest node before which `size` bytes are free at or above `from`. At most one gap is cut
// by `from`, so at most one sub-tree is searched in vain although its largest gap would do.
AddressMap::Node* AddressMap::find_gap_below(Node* root, uint64_t size, uint64_t from) const {
    if (root == nullptr || root->largest_gap_ < size) return nullptr;
    if (root->begin > from) {
        Node* found = find_gap_below(root->left_, size, from);
        if (found != nullptr) return found;
        if (root->begin - std::max(gap_begin(*root), from) >= size) return root;
    }
    return find_gap_below(root->right_, size, from);
}

Result<uint64_t> AddressMap::find_gap(uint64_t size, uint64_t hint, uint64_t alignment) const {
    if (size == 0 || !is_aligned(size, abi::page_size) || !is_power_of_two(alignment) ||
        alignment < abi::page_size) {
        return Error::bad_argument;
    }
    const auto from = checked_align_up(std::max(hint, low_), alignment);
    // Any gap of this size has room for the block at some multiple of the alignment.
    const auto enough = checked_add(size, alignment - abi::page_size);
    if (!from || !enough) return Error::limit;
    const Node* node = find_gap_below(root_, *enough, *from);
    if (node != nullptr) return align_up(std::max(gap_begin(*node), *from), alignment);
    // The gap above all ranges.
    const uint64_t top = order_.back() != nullptr ? order_.back()->end : low_;
    const auto begin = checked_align_up(std::max(top, *from), alignment);
    if (!begin || *begin > high_ || high_ - *begin < size) return Error::limit;
    return *begin;
}

// --- self-check ---------------------------------------------------------------------------------

// Walks the sub-tree in order; `expected` is the list's node that must come next.
bool AddressMap::consistent_below(const Node* root, const Node*& expected) const {
    if (root == nullptr) return true;
    if (!consistent_below(root->left_, expected) || root != expected) return false;
    expected = next(*expected);
    if (!consistent_below(root->right_, expected)) return false;
    uint64_t gap = root->begin - gap_begin(*root);
    int height = 1;
    for (const Node* child : {root->left_, root->right_}) {
        if (child == nullptr) continue;
        gap = std::max(gap, child->largest_gap_);
        height = std::max(height, child->height_ + 1);
    }
    const int difference = slope(*root);
    return root->largest_gap_ == gap && root->height_ == height && difference >= -1 &&
           difference <= 1;
}

bool AddressMap::consistent() const {
    const Node* expected = order_.front();
    if (!consistent_below(root_, expected) || expected != nullptr) return false;
    uint64_t count = 0;
    for (const Node& node : order_) {
        ++count;
        if (!check_range(node.begin, node.end).ok() || node.begin < gap_begin(node)) return false;
    }
    return count == count_;
}

}  // namespace annulus::kernel
