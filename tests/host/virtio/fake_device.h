// SPDX-License-Identifier: MIT
// The device's side of a split queue, as a test needs it: well behaved or not.
#pragma once

#include "drivers/network/virtio/queue/split_queue.h"

#include <cstring>
#include <vector>

namespace annulus::virtio {

// The queue's memory, and what a device reads and writes there.
class FakeDevice {
public:
    static constexpr uint64_t physical = 0x100000;

    explicit FakeDevice(uint32_t size)
        : size_(size), at_(SplitQueue::layout(size)), memory_((at_.length + 7) / 8, ~uint64_t{0}) {}

    UntrustedBytes bytes() { return UntrustedBytes::at_address(memory_.data(), at_.length); }
    SplitQueue queue(Access access, bool event_index = true) {
        return SplitQueue::create(bytes(), physical, size_, access, event_index).value();
    }

    struct Buffer {
        uint16_t head;
        uint64_t header, address;
        uint32_t length;
        bool writable;
    };
    // The next available chain; the caller knows that there is one.
    Buffer next() {
        const auto head = get<uint16_t>(at_.available + 4 + seen_++ % size_ * 2);
        const uint64_t first = head * uint64_t{16};
        const uint64_t second = get<uint16_t>(first + 14) * uint64_t{16};
        return {head, get<uint64_t>(first), get<uint64_t>(second), get<uint32_t>(second + 8),
                (get<uint16_t>(second + 12) & 2) != 0};
    }
    bool has_next() { return get<uint16_t>(at_.available + 2) != seen_; }
    void finish(uint32_t id, uint32_t length) {
        put<uint32_t>(at_.used + 4 + used_ % size_ * 8, id);
        put<uint32_t>(at_.used + 8 + used_ % size_ * 8, length);
        set_used(static_cast<uint16_t>(used_ + 1));
    }
    void set_used(uint16_t index) {
        used_ = index;
        put<uint16_t>(at_.used + 2, index);
    }
    void set_flags(uint16_t flags) { put<uint16_t>(at_.used, flags); }
    void notify_at(uint16_t index) { put<uint16_t>(at_.used + 4 + size_ * 8, index); }
    uint16_t interrupt_at() { return get<uint16_t>(at_.available + 4 + size_ * 2); }
    uint16_t used() const { return used_; }
    std::vector<uint64_t>& memory() { return memory_; }

private:
    template <typename T>
    T get(uint64_t offset) {
        T value;
        std::memcpy(&value, raw() + offset, sizeof(value));
        return value;
    }
    template <typename T>
    void put(uint64_t offset, T value) {
        std::memcpy(raw() + offset, &value, sizeof(value));
    }
    // Safety: any object's bytes may be looked at.
    std::byte* raw() { return reinterpret_cast<std::byte*>(memory_.data()); }

    uint32_t size_;
    SplitQueue::Layout at_;
    std::vector<uint64_t> memory_;
    uint16_t seen_ = 0;
    uint16_t used_ = 0;
};

}  // namespace annulus::virtio
