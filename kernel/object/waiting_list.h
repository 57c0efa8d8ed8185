// SPDX-License-Identifier: MIT
// WaitingList: what waits, the last to come first. Its head is one word, which a fast path can take
// and put back.
//
//   head -> T -> T -> last        T::next_waiting:     unlisted, last, or the address of the next
//        <-   <-                  T::previous_waiting: meaningless in the first element
//
// So whoever pushes to or pops from the front writes nothing in the element that is or becomes the
// first, and every operation takes the same few instructions. An address has its highest bit set,
// as in the kernel: the sign and the zero of the head tell its three cases apart.
// Locking: none; whoever owns the list guards it and the links of its elements.
#pragma once

#include <stdint.h>

namespace annulus::kernel {

template <typename T>
class WaitingList {
public:
    static constexpr uint64_t unlisted = 0;  // no head; in an element: it is in no list
    static constexpr uint64_t last = 1;      // an empty list's head

    WaitingList() = default;
    WaitingList(const WaitingList&) = delete;
    WaitingList& operator=(const WaitingList&) = delete;

    static bool contains(const T& element) { return element.next_waiting != unlisted; }
    bool empty() const { return head_ == last; }
    // The element that came last, or null.
    T* front() const { return element_at(head_); }

    // The element is in no list.
    void push_front(T& element) {
        element.next_waiting = head_;
        if (T* second = front()) second->previous_waiting = &element;
        head_ = reinterpret_cast<uint64_t>(&element);
    }

    // The element is in this list.
    void remove(T& element) {
        T* next = element_at(element.next_waiting);
        if (front() == &element) {
            head_ = element.next_waiting;
        } else {
            element.previous_waiting->next_waiting = element.next_waiting;
            if (next != nullptr) next->previous_waiting = element.previous_waiting;
        }
        element.next_waiting = unlisted;
    }

    // The head, while somebody else keeps it: `last` or an address.
    uint64_t head() const { return head_; }
    void set_head(uint64_t head) { head_ = head; }

private:
    static T* element_at(uint64_t word) {
        // Safety: what is neither of the two is the address of an element.
        return word == last || word == unlisted ? nullptr : reinterpret_cast<T*>(word);
    }

    uint64_t head_ = last;
};

}  // namespace annulus::kernel
