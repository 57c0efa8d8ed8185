// SPDX-License-Identifier: MIT
// DeadlineQueue: who wants to be woken at what time, without an allocation: a pairing heap whose
// links lie in its entries. Adding is O(1), taking the earliest or any other out O(log n) on
// average. Entries of the same time leave in any order. An entry costs nothing until it is added:
// its owner knows whether it is queued.
//
//   earliest -> child -> sibling -> sibling       `back` is the parent of a first child, or the
//                 |                               sibling before
//               child ...
#pragma once

#include <stdint.h>

namespace annulus {

class DeadlineQueue {
public:
    class Entry {
    public:
        Entry() = default;
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;
        uint64_t at() const { return at_; }  // it is queued

    private:
        friend class DeadlineQueue;
        // Written when it is added.
        uint64_t at_;
        DeadlineQueue* queue_;
        Entry* child_;
        Entry* sibling_;
        Entry* back_;
    };

    DeadlineQueue() = default;
    DeadlineQueue(const DeadlineQueue&) = delete;
    DeadlineQueue& operator=(const DeadlineQueue&) = delete;

    bool empty() const { return root_ == nullptr; }
    // Null when it is empty.
    Entry* earliest() const { return root_; }

    // The entry is in no queue.
    void add(Entry& entry, uint64_t at) {
        entry.at_ = at;
        entry.queue_ = this;
        entry.child_ = entry.sibling_ = entry.back_ = nullptr;
        root_ = merge(root_, &entry);
    }

    // The entry is in this queue.
    void remove(Entry& entry) {
        if (&entry == root_) {
            root_ = merge_children(entry);
        } else {
            (entry.back_->child_ == &entry ? entry.back_->child_ : entry.back_->sibling_) =
                entry.sibling_;
            if (entry.sibling_ != nullptr) entry.sibling_->back_ = entry.back_;
            root_ = merge(root_, merge_children(entry));
        }
    }

    // The entry is in any queue: it leaves that.
    static void leave(Entry& entry) { entry.queue_->remove(entry); }

private:
    static Entry* merge(Entry* left, Entry* right) {
        if (left == nullptr) return right;
        if (right == nullptr) return left;
        if (right->at_ < left->at_) {
            Entry* const later = left;
            left = right;
            right = later;
        }
        right->sibling_ = left->child_;
        if (left->child_ != nullptr) left->child_->back_ = right;
        right->back_ = left;
        left->child_ = right;
        left->sibling_ = left->back_ = nullptr;
        return left;
    }

    // In pairs from the first on, then the pairs from the last on: that keeps it shallow.
    static Entry* merge_children(Entry& parent) {
        Entry* pairs = nullptr;
        Entry* next = parent.child_;
        parent.child_ = nullptr;
        while (next != nullptr) {
            Entry* const first = next;
            Entry* const second = first->sibling_;
            next = second == nullptr ? nullptr : second->sibling_;
            first->sibling_ = first->back_ = nullptr;
            if (second != nullptr) second->sibling_ = second->back_ = nullptr;
            Entry* const pair = merge(first, second);
            pair->sibling_ = pairs;
            pairs = pair;
        }
        Entry* whole = nullptr;
        while (pairs != nullptr) {
            Entry* const pair = pairs;
            pairs = pair->sibling_;
            pair->sibling_ = nullptr;
            whole = merge(whole, pair);
        }
        return whole;
    }

    Entry* root_ = nullptr;
};

}  // namespace annulus
