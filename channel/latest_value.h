// SPDX-License-Identifier: MIT
// A latest value through shared memory: the writer never waits, the reader gets the newest value.
//
//     writer.write(bytes)                    each one takes the place of the one before
//     reader.read(into)                      newer: it is there, private and whole
//
// For what is only worth knowing as it is now: a position, a state, a clock. Values have one size,
// fixed by the geometry. Value number n lies in slot n mod 4:
//
//   writer                                  reader
//   W1 fence (release)                      R1 load the number n (acquire); none newer: done
//   W2 copy value n into slot n mod 4       R2 copy slot n mod 4
//   W3 store the number n (release)         R3 fence (acquire)
//                                           R4 load the number; n + 3 or beyond: the slot was
//                                              written meanwhile, begin anew
//
// A slot is written again only after three more values were finished, so the reader begins anew
// only if the writer does that during one copy. W1 orders W3 of value n - 1 before the words of
// value n: a reader that saw one of those (R2) sees the number n - 1 at least (R4).
// `tests/models/latest` shows what goes wrong without each of these orders.
//
// When there is nothing newer: prepare_wait() asks the writer to ring once there is, as in
// channel/byte_stream.h. A peer that writes whatever it likes gives the reader nonsense, which a
// value from it may be anyway, or makes it answer `overtaken`: it never loops, and there is nothing
// to fault. Each end is used by one thread at a time.
#pragma once

#include "channel/geometry.h"
#include "channel/ring_end.h"

#include <cstddef>
#include <utility>

namespace annulus::channel {

enum class Reading : uint8_t {
    newer,      // a whole value that was not read before
    unchanged,  // none since the last one read
    overtaken,  // the writer was faster each time: try again, later
};

namespace latest_detail {

// How often a reader begins anew before it gives up.
inline constexpr unsigned attempts = 8;

// The parts of one direction.
struct Parts {
    UntrustedAtomic<uint32_t> number;   // of the newest value; 0: none yet
    UntrustedAtomic<uint64_t> request;  // the reader's: "wake me"
    UntrustedBytes slots;

    static std::optional<Parts> attach(UntrustedBytes memory, Geometry geometry,
                                       unsigned direction) {
        if (geometry.structure != Structure::latest || !geometry.valid()) return std::nullopt;
        const LatestLayout layout = latest_layout(geometry);
        const uint64_t words = layout.words[direction];
        const auto number = memory.atomic_at<uint32_t>(words + producer_index_offset);
        const auto request = memory.atomic_at<uint64_t>(words + consumer_request_offset);
        const auto slots = memory.subspan(layout.slots[direction], latest_slots * geometry.size());
        if (!number || !request || !slots) return std::nullopt;
        return Parts{*number, *request, *slots};
    }

    size_t value_size() const { return slots.size() / latest_slots; }

    // Whatever the number is, the slot lies in the memory.
    UntrustedBytes slot(uint32_t n) const {
        const auto size = static_cast<uint32_t>(value_size());
        return slots.wrapped(n % latest_slots * size, size);
    }
};

}  // namespace latest_detail

template <Doorbell Bell>
class LatestWriter {
public:
    // The writer of one direction; nothing if the memory does not hold the geometry.
    static std::optional<LatestWriter> attach(UntrustedBytes memory, Geometry geometry,
                                              unsigned direction, Bell bell) {
        const auto parts = latest_detail::Parts::attach(memory, geometry, direction);
        if (!parts) return std::nullopt;
        return LatestWriter(*parts, std::move(bell));
    }

    size_t value_size() const { return parts_.value_size(); }

    // The newest value from now on; wakes a reader that asked for it. `bytes` has value_size().
    void write(std::span<const std::byte> bytes) {
        if (bytes.size() != value_size()) misused();
        const uint32_t n = written_ + 1;
        // W1. Order: release; with the fence R3.
        std::atomic_thread_fence(std::memory_order_release);
        if (!parts_.slot(n).store(0, bytes)) misused();  // W2
        written_ = n;
        // W3 is P1 of channel/wake.h.
        wake::publish(parts_.number, n, parts_.request, bell_);
    }

private:
    LatestWriter(latest_detail::Parts parts, Bell bell) : parts_(parts), bell_(std::move(bell)) {}

    latest_detail::Parts parts_;
    uint32_t written_ = 0;
    [[no_unique_address]] Bell bell_;
};

class LatestReader {
public:
    // The reader of one direction; nothing if the memory does not hold the geometry.
    static std::optional<LatestReader> attach(UntrustedBytes memory, Geometry geometry,
                                              unsigned direction) {
        const auto parts = latest_detail::Parts::attach(memory, geometry, direction);
        if (!parts) return std::nullopt;
        return LatestReader(*parts);
    }

    size_t value_size() const { return parts_.value_size(); }

    // The newest value, if it is newer than the last one read. `into` has value_size(); unless the
    // answer is `newer`, what is in it then means nothing.
    [[nodiscard]] Reading read(std::span<std::byte> into) {
        if (into.size() != value_size()) misused();
        for (unsigned i = 0; i < latest_detail::attempts; ++i) {
            // R1. Order: acquire, with W3: the value is complete.
            const uint32_t n = parts_.number.load_acquire();
            if (n == read_) return Reading::unchanged;
            if (!parts_.slot(n).freeze(0, into)) misused();  // R2
            // R3. Order: acquire; with the fence W1.
            std::atomic_thread_fence(std::memory_order_acquire);
            // R4. A number that went back is a peer's that lies: a large distance.
            if (parts_.number.load_relaxed() - n < latest_slots - 1) {
                read_ = n;
                return Reading::newer;
            }
        }
        return Reading::overtaken;
    }

    // Asks to be woken when there is a newer value.
    [[nodiscard]] Wait prepare_wait() {
        const auto ready = [&] { return parts_.number.load_acquire() != read_; };
        return !ready() && wake::ask(parts_.request, read_ + 1, ready) ? Wait::sleep : Wait::ready;
    }

private:
    explicit LatestReader(latest_detail::Parts parts) : parts_(parts) {}

    latest_detail::Parts parts_;
    uint32_t read_ = 0;
};

// One end of two latest values, one each way.
template <Doorbell Bell>
struct LatestPair {
    LatestWriter<Bell> writer;
    LatestReader reader;

    static std::optional<LatestPair> attach(UntrustedBytes memory, Geometry geometry, Side side,
                                            Bell bell) {
        auto writer =
            LatestWriter<Bell>::attach(memory, geometry, sending_direction(side), std::move(bell));
        auto reader = LatestReader::attach(memory, geometry, receiving_direction(side));
        if (!writer || !reader) return std::nullopt;
        return LatestPair{*std::move(writer), *std::move(reader)};
    }

    // No peer can break the protocol: there is nothing in it to rely on.
    Fault fault() const { return Fault::none; }
};

}  // namespace annulus::channel
