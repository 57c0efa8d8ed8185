// SPDX-License-Identifier: MIT
// A stream of bytes through shared memory: one writer, one reader, no kernel while both are awake.
//
//     writer                                  reader
//     write(bytes)                            read(into)            copying, whatever fits
//     reserve() - fill - commit(n)            peek() - use - release(n)     in place
//     publish()                               publish()             once for a whole batch
//
// reserve() and peek() give one run of untrusted bytes; where the stream wraps round, the rest
// comes with the next reserve() or peek() after commit() or release(). Nothing is visible to the
// peer before publish(); write() and read() publish by themselves.
//
// When there is nothing to do: prepare_wait(k) asks the peer to ring once k bytes are available.
// Wait::sleep means: sleep on the doorbell, then try again. It may have been rung for nothing.
// k > 1 saves wake-ups while nothing is there; with a part there already the answer is ready.
//
// Each end is used by one thread at a time. Peer's mistakes show as fault(); then nothing is
// available any more.
#pragma once

#include "channel/ring_end.h"

#include <cstddef>
#include <utility>

namespace annulus::channel {

namespace bytes_detail {

// What is known to be available without looking at the peer's index or wrapping round: an end keeps
// the answer until it is used up, which is cheaper than to work it out for each piece. It is at
// most ring.known(), so it ends wherever that may shrink: before the end asks to be woken.
template <Role role>
[[gnu::noinline]] uint32_t run(RingEnd<role>& ring, UntrustedBytes data, uint32_t wanted,
                               FaultLatch& latch) {
    const uint32_t count = ring.available(wanted, latch);
    const size_t left = data.left_from(ring.position());
    return count < left ? count : static_cast<uint32_t>(left);
}

// Passes `count` bytes that a run had, which may be from before the end asked to be woken.
template <Role role>
[[gnu::always_inline]] inline void pass(RingEnd<role>& ring, uint32_t& run, uint32_t count) {
    if (count > run) [[unlikely]] {
        if (count > ring.known()) misused();
        run = count;
    }
    run -= count;
    ring.advance(count);
}

// The lower of a ring's count and a caller's.
inline uint32_t at_most(uint32_t count, size_t limit) {
    return limit < count ? static_cast<uint32_t>(limit) : count;
}

}  // namespace bytes_detail

template <Doorbell Bell>
class ByteWriter {
public:
    // The writer of one direction; nothing if the memory does not hold the geometry.
    static std::optional<ByteWriter> attach(UntrustedBytes memory, Geometry geometry,
                                            unsigned direction, Bell bell) {
        if (geometry.structure != Structure::bytes || !geometry.valid()) return std::nullopt;
        const BytesLayout layout = bytes_layout(geometry);
        auto ring = RingEnd<Role::producer>::attach(memory, layout.ring[direction],
                                                    static_cast<uint32_t>(geometry.size()));
        const auto data = memory.subspan(layout.data[direction], geometry.size());
        const auto finished = memory.atomic_at<uint32_t>(layout.ring[direction] + finished_offset);
        if (!ring || !data || !finished) return std::nullopt;
        return ByteWriter(*ring, *data, *finished, std::move(bell));
    }

    uint32_t capacity() const { return ring_.capacity(); }

    // Room for a run of bytes, empty if the stream is full. Looks at the reader's index only if
    // less than `wanted` is known to be free.
    UntrustedBytes reserve(uint32_t wanted = 1) {
        if (run_ < wanted) [[unlikely]]
            run_ = finished_ ? 0 : bytes_detail::run(ring_, data_, wanted, latch_);
        return data_.wrapped(ring_.position(), run_);
    }

    // The first `count` bytes of what reserve() gave are filled.
    void commit(uint32_t count) { bytes_detail::pass(ring_, run_, count); }

    // Makes what was committed visible, and wakes a reader that asked for it.
    void publish() { ring_.publish(bell_); }

    // Copies as much as there is room for, publishes, and answers how much.
    size_t write(std::span<const std::byte> bytes) {
        size_t done = 0;
        while (done < bytes.size()) {
            const UntrustedBytes room =
                reserve(bytes_detail::at_most(capacity(), bytes.size() - done));
            const uint32_t count =
                bytes_detail::at_most(static_cast<uint32_t>(room.size()), bytes.size() - done);
            if (count == 0 || !room.store(0, bytes.subspan(done, count))) break;
            commit(count);
            done += count;
        }
        publish();
        return done;
    }

    // Nothing will follow: the reader sees the end after what was written.
    void finish() {
        publish();
        finished_ = true;
        run_ = 0;
        // Order: release, with the acquire in ByteReader::ended: the index comes first.
        finished_word_.store_release(1);
        ring_.announce(bell_);
    }

    bool finished() const { return finished_; }

    // See the top of the file; `wanted` is in bytes of room.
    [[nodiscard]] Wait prepare_wait(uint32_t wanted = 1) {
        run_ = 0;
        return ring_.prepare_wait(wanted, latch_, bell_);
    }

    // The same, until the reader has passed everything.
    [[nodiscard]] Wait prepare_drain() {
        run_ = 0;
        return ring_.prepare_wait_all(latch_, bell_);
    }

    Fault fault() const { return latch_.reason(); }

private:
    ByteWriter(RingEnd<Role::producer> ring, UntrustedBytes data,
               UntrustedAtomic<uint32_t> finished, Bell bell)
        : ring_(ring), data_(data), finished_word_(finished), bell_(std::move(bell)) {}

    RingEnd<Role::producer> ring_;
    UntrustedBytes data_;
    UntrustedAtomic<uint32_t> finished_word_;
    FaultLatch latch_;
    uint32_t run_ = 0;  // see bytes_detail::run
    bool finished_ = false;
    [[no_unique_address]] Bell bell_;
};

template <Doorbell Bell>
class ByteReader {
public:
    // The reader of one direction; nothing if the memory does not hold the geometry.
    static std::optional<ByteReader> attach(UntrustedBytes memory, Geometry geometry,
                                            unsigned direction, Bell bell) {
        if (geometry.structure != Structure::bytes || !geometry.valid()) return std::nullopt;
        const BytesLayout layout = bytes_layout(geometry);
        auto ring = RingEnd<Role::consumer>::attach(memory, layout.ring[direction],
                                                    static_cast<uint32_t>(geometry.size()));
        const auto data = memory.subspan(layout.data[direction], geometry.size());
        const auto finished = memory.atomic_at<uint32_t>(layout.ring[direction] + finished_offset);
        if (!ring || !data || !finished) return std::nullopt;
        return ByteReader(*ring, *data, *finished, std::move(bell));
    }

    uint32_t capacity() const { return ring_.capacity(); }

    // A run of bytes that were written, empty if there are none. Looks at the writer's index only
    // if less than `wanted` is known to be there.
    UntrustedBytes peek(uint32_t wanted = 1) {
        if (run_ < wanted) [[unlikely]]
            run_ = bytes_detail::run(ring_, data_, wanted, latch_);
        return data_.wrapped(ring_.position(), run_);
    }

    // The first `count` bytes of what peek() gave are done with.
    void release(uint32_t count) { bytes_detail::pass(ring_, run_, count); }

    // Gives the room of what was released back, and wakes a writer that asked for it.
    void publish() { ring_.publish(bell_); }

    // Copies out as much as there is, each byte read once; publishes, and answers how much. 0:
    // nothing there, or ended().
    size_t read(std::span<std::byte> into) {
        size_t done = 0;
        while (done < into.size()) {
            const UntrustedBytes bytes = peek();
            const uint32_t count =
                bytes_detail::at_most(static_cast<uint32_t>(bytes.size()), into.size() - done);
            if (count == 0 || !bytes.freeze(0, into.subspan(done, count))) break;
            release(count);
            done += count;
        }
        publish();
        return done;
    }

    // True once everything was read and the writer has finished. Stays so.
    bool ended() {
        if (ended_) return true;
        if (ring_.known() != 0 || finished_word_.load_acquire() == 0) return false;
        // The mark was there, so the index that came before it is final: look once more.
        ended_ = ring_.refresh(latch_) == 0 && !latch_.tripped();
        return ended_;
    }

    // See the top of the file. Ready also when the writer has finished.
    [[nodiscard]] Wait prepare_wait(uint32_t wanted = 1) {
        run_ = 0;
        return ring_.prepare_wait(wanted, latch_, bell_,
                                  [&] { return finished_word_.load_acquire() != 0; });
    }

    Fault fault() const { return latch_.reason(); }

private:
    ByteReader(RingEnd<Role::consumer> ring, UntrustedBytes data,
               UntrustedAtomic<uint32_t> finished, Bell bell)
        : ring_(ring), data_(data), finished_word_(finished), bell_(std::move(bell)) {}

    RingEnd<Role::consumer> ring_;
    UntrustedBytes data_;
    UntrustedAtomic<uint32_t> finished_word_;
    FaultLatch latch_;
    uint32_t run_ = 0;  // see bytes_detail::run
    bool ended_ = false;
    [[no_unique_address]] Bell bell_;
};

// One end of two streams, one each way.
template <Doorbell Bell>
struct BytePair {
    ByteWriter<Bell> writer;
    ByteReader<Bell> reader;

    static std::optional<BytePair> attach(UntrustedBytes memory, Geometry geometry, Side side,
                                          Bell bell) {
        auto writer = ByteWriter<Bell>::attach(memory, geometry, sending_direction(side), bell);
        auto reader = ByteReader<Bell>::attach(memory, geometry, receiving_direction(side), bell);
        if (!writer || !reader) return std::nullopt;
        return BytePair{*std::move(writer), *std::move(reader)};
    }

    Fault fault() const { return writer.fault() != Fault::none ? writer.fault() : reader.fault(); }
};

}  // namespace annulus::channel
