// SPDX-License-Identifier: MIT
// A stream over a ring: writes go on while the program does something else.
//
//     auto ring = TRY(RingStream::create(console));
//     const Stream stream(ring, console);      // `ring` must outlive it
//     TRY(stream.write(text));                 // copied; the server takes it in its own time
//     TRY(stream.sync());                      // now it has
//
// One write at a time is under way, since a server may take less than it is offered. A write's
// error is told by the write or sync that follows it. With Ahead::yes one read is always under way,
// too, which suits servers that answer several requests of a client at a time (as the console
// does); others would be kept from the writes, and what was read ahead is lost with the RingStream.
#pragma once

#include "runtime/program_state.h"
#include "runtime/ring.h"
#include "runtime/stream.h"

namespace annulus {

// Owns a ring and the buffers. Does not own the object. Used by one thread at a time.
class RingStream final : public StreamTransport {
public:
    enum class Ahead : uint8_t { no, yes };

    // Buffers of `pages` pages each way, at most abi::ring_memory_pages_max / 2. Errors of
    // budget.create.ring, of memory and map, and not_granted: no budget or process.
    static Result<RingStream> create(ObjectReference object, Ahead ahead = Ahead::no,
                                     uint32_t pages = 4);
    RingStream(RingStream&& other);
    RingStream& operator=(RingStream&&) = delete;
    // What is under way may be done or not: sync() first.
    ~RingStream();

    // After timed_out the read goes on, and the next one gets its bytes.
    Result<size_t> read(std::span<std::byte> bytes, Deadline deadline) override;
    Result<size_t> write_some(std::span<const std::byte> bytes, Deadline deadline) override;
    Result<void> sync(Deadline deadline) override;

private:
    enum Way : uint8_t { reading, writing };

    // One direction: its half of the buffer, and the part of it that is not done with.
    struct Side {
        bool under_way = false;
        uint32_t begin = 0;  // in the memory
        uint32_t left = 0;   // reading: bytes to hand out; writing: bytes not taken yet
        Status failure;      // of the last operation, until it is told
    };

    RingStream(ObjectReference object, Ahead ahead, ClientRing ring, std::byte* buffers,
               uint32_t size)
        : object_(object),
          ahead_(ahead),
          ring_(std::move(ring)),
          buffers_(buffers),
          size_(size),
          most_(size) {}

    Result<void> start(Way way);
    Result<void> collect(Deadline deadline);
    void end(Side& side, const abi::CompletionEntry& done);
    void end_write(uint32_t taken);
    bool offers_less(const abi::CompletionEntry& done);
    Result<void> finish_write(Deadline deadline);

    ObjectReference object_;
    Ahead ahead_;
    ClientRing ring_;
    std::byte* buffers_;  // null: moved from
    uint32_t size_;       // of each of the two buffers
    uint32_t most_;       // of what one write may offer: a block of the server's table
    Side sides_[2];
};

}  // namespace annulus
