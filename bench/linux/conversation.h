// SPDX-License-Identifier: MIT
// A socket through io_uring, with registered files and memory.
#pragma once

#include "bench/linux/uring.h"

namespace annulus::bench {

// One end of a socket through io_uring, registered like the memory.
class Conversation {
public:
    // `awake`: looks for completions instead of waiting for them in the kernel.
    Conversation(int socket, void* memory, size_t size, bool awake = false)
        : memory_(reinterpret_cast<uint64_t>(memory)), awake_(awake) {
        ring_.fix({&socket, 1}, memory, size);
    }
    // Writes and reads so many bytes, at once; the entries that remain are submitted again.
    void exchange(size_t to_write, size_t to_read) {
        size_t left[] = {to_read, to_write};
        if (to_write > 0) prepare(writing, 0, to_write);
        if (to_read > 0) prepare(reading, 0, to_read);
        const unsigned both = (to_write > 0 ? 1u : 0u) + (to_read > 0 ? 1u : 0u);
        // What a socket does not take at once is written in parts, and the peer answers the whole.
        const bool in_parts = to_write > at_once_max;
        for (unsigned wanted = in_parts ? 1 : both; left[0] + left[1] > 0; wanted = 1) {
            ring_.submit(awake_ ? 0 : wanted);
            ring_.tell([&](uint64_t which, int result) {
                if (result <= 0) fail("io_uring in a conversation");
                left[which] -= static_cast<size_t>(result);
                const size_t whole = which == reading ? to_read : to_write;
                if (left[which] > 0) prepare(which, whole - left[which], left[which]);
            });
        }
    }

private:
    static constexpr size_t at_once_max = 65536;
    static constexpr uint64_t reading = 0;
    static constexpr uint64_t writing = 1;

    void prepare(uint64_t which, size_t at, size_t size) {
        io_uring_sqe& entry = ring_.prepare();
        entry.opcode = which == reading ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED;
        entry.flags = IOSQE_FIXED_FILE;
        entry.fd = 0;
        entry.addr = memory_ + at;
        entry.len = static_cast<uint32_t>(size);
        entry.off = UINT64_MAX;
        entry.user_data = which;
    }

    Uring ring_{8};
    uint64_t memory_;
    bool awake_;
};

}  // namespace annulus::bench
