// SPDX-License-Identifier: MIT
// Bytes that arrived, and reads that wait for them, both in the order of their arrival.
// Policy-free; the caller locks.
//
// Bytes are taken out only when a read has been answered with them: should its client have left,
// the next read gets them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <cstddef>
#include <span>

#include "drivers/console/serial/request_queue.h"

namespace annulus::serial {

class ReceiveQueue {
public:
    static constexpr size_t capacity = 4096;

    struct Read {
        uint64_t request;
        std::span<std::byte> space;  // stays in place until the request is answered
        uint64_t deadline;           // nanoseconds; the client does not wait longer
    };
    struct Filled {
        uint64_t request;
        size_t bytes;
    };

    // False: there is no room, and the byte is lost.
    bool add_byte(std::byte byte);

    // False: there are too many reads.
    bool add_read(const Read& read) { return reads_.push(read); }

    // Copies what arrived into the first read's space. False: there is nothing to answer.
    bool fill_first(Filled& filled);

    // The first read is over; its client has taken so many bytes.
    void finish_first(size_t bytes);

    // Takes out a read whose deadline has passed. False: there is none.
    bool take_expired(uint64_t now, uint64_t& request);

    // Of the reads that wait; abi::deadline_never if there is none.
    [[nodiscard]] uint64_t next_deadline() const;

private:
    std::array<std::byte, capacity> bytes_{};  // a ring
    size_t head_ = 0;
    size_t count_ = 0;
    RequestQueue<Read> reads_;
};

}  // namespace annulus::serial
