// SPDX-License-Identifier: MIT
// Channel memory on the heap, two ends in it, and a peer that writes whatever it likes.
#pragma once

#include "channel/byte_stream.h"
#include "channel/latest_value.h"
#include "channel/message_queue.h"
#include "channel/packet_queue.h"
#include "channel/request_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <new>

namespace annulus::channel {

// Counts the rings.
struct CountingBell {
    unsigned* rings;

    void ring() { ++*rings; }
};

// Zeroed page-aligned memory of exactly one channel's length, so that sanitizers see its end.
class SharedMemory {
public:
    explicit SharedMemory(Geometry geometry)
        : geometry_(geometry), bytes_(new(std::align_val_t(page)) std::byte[geometry.length()]{}) {}

    Geometry geometry() const { return geometry_; }
    UntrustedBytes bytes() const {
        return UntrustedBytes::at_address(bytes_.get(), geometry_.length());
    }

    // What a hostile peer does: any word at any offset.
    void scribble(uint64_t offset, uint32_t value) {
        bytes().atomic_at<uint32_t>(offset).value().store_release(value);
    }
    uint32_t look(uint64_t offset) const {
        return bytes().atomic_at<uint32_t>(offset).value().load_acquire();
    }
    void scribble_request(uint64_t offset, uint64_t value) {
        bytes().atomic_at<uint64_t>(offset).value().store_relaxed(value);
    }

private:
    struct Free {
        void operator()(std::byte* bytes) const {
            operator delete[](bytes, std::align_val_t(page));
        }
    };

    Geometry geometry_;
    std::unique_ptr<std::byte[], Free> bytes_;
};

}  // namespace annulus::channel
