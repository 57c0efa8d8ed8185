// SPDX-License-Identifier: MIT
// Relaxed: a plain value to whoever uses it, that may be read while somebody else writes it.
//
// For what one side owns and another may look at, to report or to guess: nothing is ordered by it.
// Costs what a plain member costs. Two changes at once are one lost, as with a plain one.
#pragma once

#include <atomic>

namespace annulus {

template <typename T>
class Relaxed {
public:
    constexpr Relaxed() = default;
    constexpr explicit Relaxed(T value) : value_(value) {}
    Relaxed(const Relaxed&) = delete;
    T operator=(T value) {
        value_.store(value, std::memory_order_relaxed);
        return value;
    }
    T operator=(const Relaxed& other) { return *this = T(other); }
    T operator+=(T value) { return *this = static_cast<T>(T(*this) + value); }
    // NOLINTNEXTLINE(google-explicit-constructor): it is to be used like the value.
    operator T() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<T> value_{};
    static_assert(std::atomic<T>::is_always_lock_free);
};

}  // namespace annulus
