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

// The links that lead from the root to a place in the tree, whose lowest node comes last.
struct AddressMap::Path {
    // A tree of 2^32 ranges is at most 46 high (Knuth, volume 3, section 6.2.3).
    static constexpr unsigned length_max = 48;

    [[gnu::always_inline]] void add(Node*& link) {
        kernel_assert(length < length_max, "a tree of ranges is too high");
        links[length++] = &link;
    }

    Node** links[length_max];
    unsigned length = 0;
};

// What is free before a node, by its neighbour's end.
uint64_t AddressMap::gap_before(const Node& node) const {
    const Node* below = order_.previous(node);
    return node.begin - (below != nullptr ? below->end : low_);
}

// Recomputes what a node knows about its sub-tree.
[[gnu::always_inline]] inline void AddressMap::update(Node& node) {
    node.largest_gap_ = node.gap_;
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
AddressMap::Node* AddressMap::rotate_left(Node& node) {
    Node& right = *node.right_;
    node.right_ = right.left_;
    right.left_ = &node;
    update(node);
    update(right);
    return &right;
}

AddressMap::Node* AddressMap::rotate_right(Node& node) {
    Node& left = *node.left_;
    node.left_ = left.right_;
    left.right_ = &node;
    update(node);
    update(left);
    return &left;
}

// How much higher the right sub-tree is than the left one.
[[gnu::always_inline]] inline int AddressMap::slope(const Node& node) {
    const int left = node.left_ != nullptr ? node.left_->height_ : 0;
    const int right = node.right_ != nullptr ? node.right_->height_ : 0;
    return right - left;
}

// Both sub-trees are right, and their heights differ by at most 2: makes that at most 1.
[[gnu::always_inline]] inline AddressMap::Node* AddressMap::balance(Node& node) {
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

// Makes the nodes of the path right again, from the lowest one up, until nothing changes any more.
// `changed`, whose own gap changed, lies on the path, or is null.
void AddressMap::repair(const Path& path, const Node* changed) {
    for (unsigned i = path.length; i > 0; --i) {
        Node*& link = *path.links[i - 1];
        if (link == changed) changed = nullptr;
        const uint64_t largest_gap = link->largest_gap_;
        const uint8_t height = link->height_;
        link = balance(*link);
        const bool same = link->largest_gap_ == largest_gap && link->height_ == height;
        if (same && changed == nullptr) return;
    }
}

// Takes the node, to which the path leads, out of the tree. `above`, its neighbour, takes its place
// or lies on the path; the path leads to where something changed then.
void AddressMap::take_out(Path& path, Node& node, Node* above) {
    Node*& place = *path.links[path.length - 1];
    if (node.right_ == nullptr) {
        place = node.left_;
        --path.length;
        return;
    }
    const unsigned below = path.length;
    Node** link = &node.right_;
    for (; (*link)->left_ != nullptr; link = &(*link)->left_) path.add(*link);
    *link = above->right_;
    above->left_ = node.left_;
    above->right_ = node.right_;
    place = above;
    if (path.length > below) path.links[below] = &above->right_;
    // What was known at this place, for repair() to compare with.
    above->largest_gap_ = node.largest_gap_;
    above->height_ = node.height_;
}

// --- changes ------------------------------------------------------------------------------------

Result<void> AddressMap::insert(AddressMapNode& node) {
    kernel_assert(!node.in_map(), "inserted a range that is in a map");
    TRY(check_range(node.begin, node.end));
    Path path;
    Node* below = nullptr;
    Node* above = nullptr;
    Node** link = &root_;
    while (*link != nullptr) {
        path.add(*link);
        if (node.begin < (*link)->begin) {
            above = *link;
            link = &above->left_;
        } else {
            below = *link;
            link = &below->right_;
        }
    }
    if (below != nullptr && below->end > node.begin) return Error::overlap;
    if (above != nullptr && above->begin < node.end) return Error::overlap;
    node.gap_ = node.begin - (below != nullptr ? below->end : low_);
    if (above != nullptr) {
        above->gap_ = above->begin - node.end;
        order_.insert_before(*above, node);
    } else {
        order_.push_back(node);
    }
    node.left_ = nullptr;
    node.right_ = nullptr;
    update(node);
    *link = &node;
    repair(path, above);
    ++count_;
    return {};
}

void AddressMap::remove(AddressMapNode& node) {
    kernel_assert(node.in_map(), "removed a range that is in no map");
    Node* above = order_.next(node);
    Path path;
    Node** link = &root_;
    for (;;) {
        kernel_assert(*link != nullptr, "removed a range from a map that it is not in");
        path.add(*link);
        if (*link == &node) break;
        link = node.begin < (*link)->begin ? &(*link)->left_ : &(*link)->right_;
    }
    order_.remove(node);
    if (above != nullptr) above->gap_ = gap_before(*above);
    take_out(path, node, above);
    repair(path, above);
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
AddressMap::Node* AddressMap::find_gap_below(Node* root, uint64_t size, uint64_t from) {
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
    if (root->gap_ != gap_before(*root)) return false;
    uint64_t gap = root->gap_;
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
