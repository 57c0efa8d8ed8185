// SPDX-License-Identifier: MIT
// Writes that wait for the serial port, in the order of their arrival. Policy-free; the caller
// locks.
//
// A write stays in its request's block until its last byte is in the port's queue, so nothing is
// copied twice and a client that writes faster than the line waits. A sync is a write of no bytes:
// its turn comes when all before it have left.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <cstddef>
#include <span>

#include "drivers/console/serial/request_queue.h"

namespace annulus::serial {

// Bytes that the transmitter takes at once (16550D data sheet, FIFO mode).
inline constexpr size_t transmit_batch = 16;

class TransmitQueue {
public:
    struct Finished {
        uint64_t request;
        size_t bytes;
    };

    // `bytes` stay in place until the request is finished. False: there are too many requests.
    bool add(uint64_t request, std::span<const std::byte> bytes) {
        return writes_.push({request, bytes, 0});
    }

    // Whether there is anything to do when the transmitter is empty.
    [[nodiscard]] bool empty() const { return writes_.empty(); }

    // The transmitter is empty: the next bytes for it, of one write or several.
    std::span<const std::byte> next_batch(std::span<std::byte, transmit_batch> buffer);

    // Takes the oldest request out if next_batch handed all of its bytes over; a sync only if they
    // have left the port's queue, too (`drained`). False: there is none.
    bool take_finished(Finished& finished, bool drained);

private:
    struct Write {
        uint64_t request;
        std::span<const std::byte> bytes;
        size_t sent;
    };

    RequestQueue<Write> writes_;
};

}  // namespace annulus::serial
