// SPDX-License-Identifier: MIT
// A split virtqueue.
#include "drivers/network/virtio/queue/split_queue.h"

#include <algorithm>
#include <atomic>

namespace annulus::virtio {

namespace {

// Of a descriptor.
constexpr uint16_t flag_next = 1, flag_device_writes = 2;
// Of the used ring: the device wants no notification.
constexpr uint32_t flag_no_notify = 1;

[[noreturn]] void misused() { __builtin_trap(); }

void zero(UntrustedBytes memory) {
    constexpr std::array<std::byte, 64> zeroes{};
    for (uint64_t at = 0; at < memory.size(); at += zeroes.size()) {
        const size_t count = std::min<size_t>(zeroes.size(), memory.size() - at);
        static_cast<void>(memory.store(at, std::span(zeroes).first(count)));
    }
}

}  // namespace

std::optional<SplitQueue> SplitQueue::create(UntrustedBytes memory, uint64_t physical,
                                             uint32_t size, Access access, bool event_index) {
    if (!is_power_of_two(size) || size < queue_size_min || size > queue_size_max) {
        return std::nullopt;
    }
    const Layout at = layout(size);
    if (memory.size() < at.length || !is_aligned(memory.address(), descriptor_size)) {
        return std::nullopt;
    }
    zero(memory.first(at.length));
    const auto descriptors = memory.array_at<Descriptor>(0, size);
    const auto available = memory.array_at<uint16_t>(at.available + ring_header, size);
    const auto used = memory.array_at<UsedElement>(at.used + ring_header, size);
    const auto available_word = memory.atomic_at<uint32_t>(at.available);
    const auto used_word = memory.atomic_at<uint32_t>(at.used);
    const auto wake_us = memory.atomic_at<uint32_t>(at.available + ring_header + size * 2);
    const auto wake_device = memory.atomic_at<uint32_t>(at.used + ring_header + size * 8);
    if (!descriptors || !available || !used || !available_word || !used_word || !wake_us ||
        !wake_device) {
        return std::nullopt;
    }
    SplitQueue queue(
        {*descriptors, *available, *used, *available_word, *used_word, *wake_us, *wake_device},
        physical + at.headers, size, access, event_index);
    // The first one used is slot 0.
    while (queue.free_count_ < size / 2) {
        queue.free_[queue.free_count_] = static_cast<uint8_t>(size / 2 - 1 - queue.free_count_);
        ++queue.free_count_;
    }
    return queue;
}

void SplitQueue::add(uint32_t token, uint64_t physical, uint32_t length) {
    if (free_count_ == 0) misused();
    const uint8_t number = free_[--free_count_];
    slots_[number] = {token, length, true};
    const uint16_t first = number * 2;
    const uint16_t writes = access_ == Access::device_writes ? flag_device_writes : 0;
    const auto flags = static_cast<uint16_t>(flag_next | writes);
    const uint16_t second = first + 1;
    words_.descriptors.wrapped(first).store(
        {headers_ + number * header_stride, header_size, flags, second});
    words_.descriptors.wrapped(second).store({physical, length, writes, 0});
    words_.available.wrapped(available_).store(first);
    ++available_;
}

bool SplitQueue::publish() {
    if (available_ == published_ || faulted_) return false;
    const uint16_t before = published_;
    published_ = available_;
    // Order: release, for the device: descriptors and ring come first.
    words_.available_word.store_release(uint32_t{available_} << 16);
    // Full fence: pairs with the device's between its request and its look at the index.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!event_index_) return (words_.used_word.load_relaxed() & flag_no_notify) == 0;
    const auto event = static_cast<uint16_t>(words_.wake_device.load_relaxed());
    // The event lies in what was just published (2.7.10): modulo 2^16.
    return static_cast<uint16_t>(available_ - event - 1) <
           static_cast<uint16_t>(available_ - before);
}

std::optional<SplitQueue::Done> SplitQueue::take() {
    if (faulted_) return std::nullopt;
    // Acquire, in seen(): pairs with the device's publication of the element.
    const auto done = static_cast<uint16_t>(seen() - used_);
    if (done == 0) return std::nullopt;
    // Unpublished buffers count as in flight: the device cannot know them, and its ids are checked.
    if (done > in_flight()) return refuse();
    const UsedElement element = words_.used.wrapped(used_).freeze();
    if (element.id >= size_ || element.id % 2 != 0) return refuse();
    const uint32_t number = element.id / 2;
    Slot& slot = slots_[number];
    if (!slot.in_flight) return refuse();
    uint32_t length = 0;
    if (access_ == Access::device_writes) {
        if (element.length < header_size || element.length - header_size > slot.length) {
            return refuse();
        }
        length = element.length - header_size;
    }
    slot.in_flight = false;
    free_[free_count_++] = static_cast<uint8_t>(number);
    ++used_;
    return Done{slot.token, length};
}

bool SplitQueue::prepare_wait(uint32_t wanted) {
    if (faulted_) return false;
    // At least one, and never more than will surely come.
    wanted = std::max<uint32_t>(1, std::min(wanted, in_flight()));
    words_.wake_us.store_relaxed(static_cast<uint16_t>(used_ + wanted - 1));
    // Full fence: pairs with the device's between its publication and its look at the request.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return static_cast<uint16_t>(seen() - used_) == 0;
}

// The index that was passed last comes again after 65536 buffers.
void SplitQueue::prepare_no_wake() {
    words_.wake_us.store_relaxed(static_cast<uint16_t>(used_ - 1));
}

}  // namespace annulus::virtio
