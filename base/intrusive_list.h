// SPDX-License-Identifier: MIT
// IntrusiveList: a doubly linked list whose links lie in its elements, so that nothing is
// allocated.
//
//   struct ReadyLink;                                   // a tag: one for each list an object can
//   class Thread : public ListNode<ReadyLink> { ... };  // be in at the same time
//   IntrusiveList<Thread, ReadyLink> ready;
//
//       +-> head <--> element <--> element <-+          circular: a node is removed without
//       +------------------------------------+          knowing its list
//
// Locking: none; whoever owns the list guards it and the links of its elements.
// Lifetime: the list does not own its elements; an element is removed before it dies. Neither
// lists nor linked nodes may be moved. Destructors are trivial, so a list may be a global.
#pragma once

#include <stddef.h>

namespace annulus {

template <typename T, typename Tag>
class IntrusiveList;

// The base class that makes an object fit for one list of the given tag.
template <typename Tag>
class ListNode {
public:
    constexpr ListNode() = default;
    ListNode(const ListNode&) = delete;
    ListNode& operator=(const ListNode&) = delete;

    // True while the node is in a list.
    constexpr bool linked() const { return next_ != nullptr; }

private:
    template <typename T, typename OtherTag>
    friend class IntrusiveList;

    constexpr void insert_before(ListNode& position) {
        // Linking a linked node would tear two lists apart: stop at once.
        if (linked()) __builtin_trap();
        next_ = &position;
        previous_ = position.previous_;
        previous_->next_ = this;
        position.previous_ = this;
    }

    constexpr void unlink() {
        if (!linked()) __builtin_trap();
        previous_->next_ = next_;
        next_->previous_ = previous_;
        next_ = nullptr;
        previous_ = nullptr;
    }

    ListNode* next_ = nullptr;
    ListNode* previous_ = nullptr;
};

// A list of T, which derives from ListNode<Tag>. Every operation is O(1).
template <typename T, typename Tag>
class IntrusiveList {
    using Node = ListNode<Tag>;

public:
    constexpr IntrusiveList() {
        head_.next_ = &head_;
        head_.previous_ = &head_;
    }
    IntrusiveList(const IntrusiveList&) = delete;
    IntrusiveList& operator=(const IntrusiveList&) = delete;

    constexpr bool empty() const { return head_.next_ == &head_; }

    // True while the element is in any list of this tag.
    static constexpr bool is_linked(const T& element) { return node_of(element).linked(); }

    // The element is in no list of this tag.
    constexpr void push_front(T& element) { node_of(element).insert_before(*head_.next_); }
    constexpr void push_back(T& element) { node_of(element).insert_before(head_); }
    // Puts `element` directly before or after `position`, which is in this list.
    static constexpr void insert_before(T& position, T& element) {
        node_of(element).insert_before(node_of(position));
    }
    static constexpr void insert_after(T& position, T& element) {
        node_of(element).insert_before(*node_of(position).next_);
    }

    // The element is in a list of this tag; it leaves that list, whichever it is.
    static constexpr void remove(T& element) { node_of(element).unlink(); }

    // The first or last element, or null.
    constexpr T* front() const { return element_or_null(head_.next_); }
    constexpr T* back() const { return element_or_null(head_.previous_); }
    // The neighbour of an element of this list, or null at the end.
    constexpr T* next(const T& element) const { return element_or_null(node_of(element).next_); }
    constexpr T* previous(const T& element) const {
        return element_or_null(node_of(element).previous_);
    }

    // Takes the first or last element out, or returns null.
    constexpr T* pop_front() { return take(front()); }
    constexpr T* pop_back() { return take(back()); }

    // Moves all elements of `other` (another list) to this list's end or front, in their order.
    constexpr void splice_back(IntrusiveList& other) { splice_before(head_, other); }
    constexpr void splice_front(IntrusiveList& other) { splice_before(*head_.next_, other); }

    // Iteration in order; the element that an iterator stands on must not be removed.
    class Iterator {
    public:
        constexpr T& operator*() const { return *static_cast<T*>(node_); }
        constexpr T* operator->() const { return static_cast<T*>(node_); }
        constexpr Iterator& operator++() {
            node_ = next_of(node_);
            return *this;
        }
        constexpr bool operator==(const Iterator&) const = default;

    private:
        friend class IntrusiveList;
        constexpr explicit Iterator(Node* node) : node_(node) {}
        Node* node_;
    };
    constexpr Iterator begin() const { return Iterator(head_.next_); }
    constexpr Iterator end() const { return Iterator(const_cast<Node*>(&head_)); }

private:
    static constexpr Node& node_of(T& element) { return element; }
    static constexpr const Node& node_of(const T& element) { return element; }
    static constexpr Node* next_of(Node* node) { return node->next_; }

    constexpr T* element_or_null(Node* node) const {
        return node == &head_ ? nullptr : static_cast<T*>(node);
    }

    static constexpr T* take(T* element) {
        if (element != nullptr) remove(*element);
        return element;
    }

    static constexpr void splice_before(Node& position, IntrusiveList& other) {
        if (other.empty()) return;
        Node* first = other.head_.next_;
        Node* last = other.head_.previous_;
        first->previous_ = position.previous_;
        position.previous_->next_ = first;
        last->next_ = &position;
        position.previous_ = last;
        other.head_.next_ = &other.head_;
        other.head_.previous_ = &other.head_;
    }

    Node head_;
};

}  // namespace annulus
