// SPDX-License-Identifier: MIT
// Why a structure in channel memory refused a peer: the reasons, and the latch that keeps one.
#pragma once

#include <stdint.h>

namespace annulus::channel {

// Something that no peer does that keeps to the protocol. The numbers are part of the interface:
// they are the reason with which a channel is shut down. Reasons below 256 belong to this library.
enum class Fault : uint16_t {
    none = 0,
    producer_index = 1,     // the producer's index went back, or beyond what the ring holds
    consumer_index = 2,     // the consumer's index went back, or beyond what was produced
    buffer_number = 3,      // there is no such buffer
    buffer_sent_twice = 4,  // the sender sent a buffer that the receiver still holds
    buffer_not_lent = 5,    // the receiver gave back a buffer that it does not hold
    buffer_range = 6,       // offset and length reach beyond the buffer
};

inline constexpr uint16_t fault_count = 7;

// For logs and reports.
constexpr const char* describe(Fault fault) {
    switch (fault) {
        case Fault::none: return "no fault";
        case Fault::producer_index: return "the producer's index is impossible";
        case Fault::consumer_index: return "the consumer's index is impossible";
        case Fault::buffer_number: return "there is no such buffer";
        case Fault::buffer_sent_twice: return "a buffer was sent twice";
        case Fault::buffer_not_lent: return "a buffer was given back that was not lent";
        case Fault::buffer_range: return "offset and length reach beyond the buffer";
    }
    return "unknown fault";
}

// Keeps the first reason for ever. Private to one end: the peer learns it by the channel's
// shutdown, not from shared memory.
class FaultLatch {
public:
    bool tripped() const { return reason_ != Fault::none; }
    Fault reason() const { return reason_; }
    void trip(Fault reason) {
        if (reason_ == Fault::none) reason_ = reason;
    }

private:
    Fault reason_ = Fault::none;
};

// The program itself broke the contract of a structure (released more than it peeked, ...): a bug
// here, not the peer's doing.
[[noreturn]] inline void misused() { __builtin_trap(); }

}  // namespace annulus::channel
