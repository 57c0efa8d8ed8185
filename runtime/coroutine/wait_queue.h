// SPDX-License-Identifier: MIT
// WaitQueue: those who wait for one thing, in order. An IntrusiveList of nodes that cost nothing to
// make and to leave: a node's owner knows whether it is in a queue, and its links mean nothing
// while it is in none.
#pragma once

namespace annulus {

class WaitQueue {
public:
    class Node {
    public:
        Node() = default;
        Node(const Node&) = delete;
        Node& operator=(const Node&) = delete;

    private:
        friend class WaitQueue;
        Node* next_;
        Node* previous_;
    };

    WaitQueue() { head_.next_ = head_.previous_ = &head_; }
    WaitQueue(const WaitQueue&) = delete;
    WaitQueue& operator=(const WaitQueue&) = delete;

    // The node is in no queue.
    void push_back(Node& node) {
        node.next_ = &head_;
        node.previous_ = head_.previous_;
        node.previous_->next_ = &node;
        head_.previous_ = &node;
    }

    // Null when it is empty.
    Node* front() const { return head_.next_ == &head_ ? nullptr : head_.next_; }
    Node* pop_front() {
        Node* const first = head_.next_;
        if (first == &head_) return nullptr;
        head_.next_ = first->next_;
        first->next_->previous_ = &head_;
        return first;
    }

    // The node is in any queue: it leaves that.
    static void remove(Node& node) {
        node.previous_->next_ = node.next_;
        node.next_->previous_ = node.previous_;
    }

    // Moves all of `other` here, which is empty.
    void take_all(WaitQueue& other) {
        while (Node* const node = other.pop_front()) push_back(*node);
    }

private:
    Node head_;
};

}  // namespace annulus
