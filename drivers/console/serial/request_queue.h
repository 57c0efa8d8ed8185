// SPDX-License-Identifier: MIT
// A queue of requests that are answered later. Policy-free.
#pragma once

#include <stddef.h>

#include <array>

namespace annulus::serial {

// Requests of one table at a time, and so entries of a queue.
inline constexpr size_t requests_max = 16;

// First in, first out, of a fixed number of entries.
template <typename Entry>
class RequestQueue {
public:
    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] size_t size() const { return count_; }

    // The entry at a place in the order; `place` is below size().
    [[nodiscard]] Entry& at(size_t place) { return entries_[(first_ + place) % requests_max]; }
    [[nodiscard]] const Entry& at(size_t place) const {
        return entries_[(first_ + place) % requests_max];
    }

    // False: it is full.
    bool push(const Entry& entry) {
        if (count_ == requests_max) return false;
        entries_[(first_ + count_++) % requests_max] = entry;
        return true;
    }

    // Takes one out; the order of the others stays.
    void remove(size_t place) {
        for (size_t i = place; i + 1 < count_; i++) at(i) = at(i + 1);
        count_--;
    }

private:
    std::array<Entry, requests_max> entries_{};
    size_t first_ = 0;
    size_t count_ = 0;
};

}  // namespace annulus::serial
