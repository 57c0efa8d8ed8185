// SPDX-License-Identifier: MIT
// Writes that wait for the serial port.
#include "drivers/console/serial/transmit_queue.h"

#include <algorithm>

namespace annulus::serial {

std::span<const std::byte> TransmitQueue::next_batch(std::span<std::byte, transmit_batch> buffer) {
    size_t filled = 0;
    for (size_t i = 0; i < writes_.size() && filled < buffer.size(); i++) {
        Write& write = writes_.at(i);
        // A sync behind bytes of this batch waits until the transmitter is empty again.
        if (write.bytes.empty()) break;
        const auto rest = write.bytes.subspan(write.sent);
        const size_t count = std::min(rest.size(), buffer.size() - filled);
        std::copy_n(rest.begin(), count, buffer.begin() + static_cast<ptrdiff_t>(filled));
        write.sent += count;
        filled += count;
    }
    return buffer.first(filled);
}

bool TransmitQueue::take_finished(Finished& finished, bool drained) {
    if (writes_.empty()) return false;
    const Write& first = writes_.at(0);
    if (first.sent != first.bytes.size()) return false;
    if (first.bytes.empty() && !drained) return false;
    finished = {first.request, first.bytes.size()};
    writes_.remove(0);
    return true;
}

}  // namespace annulus::serial
