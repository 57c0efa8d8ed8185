// SPDX-License-Identifier: MIT
// Bytes that arrived, and reads that wait for them.
#include "drivers/console/serial/receive_queue.h"

#include <algorithm>

#include "abi/limits.h"

namespace annulus::serial {

bool ReceiveQueue::add_byte(std::byte byte) {
    if (count_ == capacity) return false;
    bytes_[(head_ + count_++) % capacity] = byte;
    return true;
}

bool ReceiveQueue::fill_first(Filled& filled) {
    if (count_ == 0 || reads_.empty()) return false;
    const Read& read = reads_.at(0);
    filled = {read.request, std::min(read.space.size(), count_)};
    for (size_t i = 0; i < filled.bytes; i++) read.space[i] = bytes_[(head_ + i) % capacity];
    return true;
}

void ReceiveQueue::finish_first(size_t bytes) {
    reads_.remove(0);
    head_ = (head_ + bytes) % capacity;
    count_ -= bytes;
}

bool ReceiveQueue::take_expired(uint64_t now, uint64_t& request) {
    for (size_t i = 0; i < reads_.size(); i++) {
        if (reads_.at(i).deadline > now) continue;
        request = reads_.at(i).request;
        reads_.remove(i);
        return true;
    }
    return false;
}

uint64_t ReceiveQueue::next_deadline() const {
    uint64_t next = abi::deadline_never;
    for (size_t i = 0; i < reads_.size(); i++) next = std::min(next, reads_.at(i).deadline);
    return next;
}

}  // namespace annulus::serial
