// SPDX-License-Identifier: MIT
// Bytes that arrived on a connection and that nobody has read: a ring of fixed size. Policy-free.
#pragma once

#include <stddef.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace annulus::net {

class ReceiveBuffer {
public:
    static constexpr size_t capacity = 32768;

    [[nodiscard]] size_t size() const { return count_; }
    [[nodiscard]] size_t room() const { return capacity - count_; }

    // At most room() bytes.
    void append(std::span<const std::byte> bytes) {
        size_t at = (head_ + count_) % capacity;
        count_ += bytes.size();
        while (!bytes.empty()) {
            const size_t run = std::min(bytes.size(), capacity - at);
            std::copy_n(bytes.begin(), run, bytes_.begin() + static_cast<ptrdiff_t>(at));
            bytes = bytes.subspan(run);
            at = 0;
        }
    }

    // Copies the oldest bytes into `space` without taking them; answers how many.
    size_t copy(std::span<std::byte> space) const {
        const size_t wanted = std::min(space.size(), count_);
        const size_t run = std::min(wanted, capacity - head_);
        std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(head_), run, space.begin());
        std::copy_n(bytes_.begin(), wanted - run, space.begin() + static_cast<ptrdiff_t>(run));
        return wanted;
    }

    // The oldest bytes that lie in one piece.
    [[nodiscard]] std::span<const std::byte> front() const {
        return std::span(bytes_).subspan(head_, std::min(count_, capacity - head_));
    }

    // Takes the oldest `bytes` bytes; at most size().
    void consume(size_t bytes) {
        head_ = (head_ + bytes) % capacity;
        count_ -= bytes;
    }

private:
    std::array<std::byte, capacity> bytes_;
    size_t head_ = 0;
    size_t count_ = 0;
};

}  // namespace annulus::net
