// SPDX-License-Identifier: MIT
// A ring of entries of one type: what message, packet and block queues are made of.
#pragma once

#include "channel/ring_end.h"

namespace annulus::channel {

// Entries are at most this large: a peer's entry is copied whole before it is looked at.
inline constexpr size_t max_entry_size = 64;

template <typename T>
concept Entry = Shareable<T> && sizeof(T) <= max_entry_size;

// The producer's end. Like RingEnd it is given latch and doorbell by what it is a part of.
template <Entry T>
class EntryProducer {
public:
    static std::optional<EntryProducer> attach(UntrustedBytes memory, uint64_t ring_offset,
                                               uint64_t entries_offset, uint32_t capacity) {
        const auto end = RingEnd<Role::producer>::attach(memory, ring_offset, capacity);
        const auto entries = memory.array_at<T>(entries_offset, capacity);
        if (!end || !entries) return std::nullopt;
        return EntryProducer(*end, *entries);
    }

    // Puts an entry into the ring, unpublished. False if the ring is full.
    [[gnu::always_inline]] bool put(const T& entry, FaultLatch& latch) {
        if (end.available(1, latch) == 0) [[unlikely]]
            return false;
        entries_.wrapped(end.position()).store(entry);
        end.advance(1);
        return true;
    }

    // Puts as many of the entries as there is room for, unpublished, and answers how many.
    [[gnu::always_inline]] uint32_t put(std::span<const T> entries, FaultLatch& latch) {
        const uint32_t count = end.available_up_to(entries.size(), latch);
        entries_.store_run(end.position(), entries.first(count));
        end.advance(count);
        return count;
    }

    RingEnd<Role::producer> end;

private:
    EntryProducer(RingEnd<Role::producer> ring_end, UntrustedArray<T> entries)
        : end(ring_end), entries_(entries) {}

    UntrustedArray<T> entries_;
};

// The consumer's end.
template <Entry T>
class EntryConsumer {
public:
    static std::optional<EntryConsumer> attach(UntrustedBytes memory, uint64_t ring_offset,
                                               uint64_t entries_offset, uint32_t capacity) {
        const auto end = RingEnd<Role::consumer>::attach(memory, ring_offset, capacity);
        const auto entries = memory.array_at<T>(entries_offset, capacity);
        if (!end || !entries) return std::nullopt;
        return EntryConsumer(*end, *entries);
    }

    // Takes a private copy of the next entry. False if there is none. Its place goes back to the
    // producer with the next publication.
    [[gnu::always_inline]] bool take(T& entry, FaultLatch& latch) {
        if (end.available(1, latch) == 0) [[unlikely]]
            return false;
        entry = entries_.wrapped(end.position()).freeze();
        end.advance(1);
        return true;
    }

    // Takes private copies of as many entries as there are and fit, and answers how many.
    [[gnu::always_inline]] uint32_t take(std::span<T> entries, FaultLatch& latch) {
        const uint32_t count = end.available_up_to(entries.size(), latch);
        entries_.freeze_run(end.position(), entries.first(count));
        end.advance(count);
        return count;
    }

    RingEnd<Role::consumer> end;

private:
    EntryConsumer(RingEnd<Role::consumer> ring_end, UntrustedArray<T> entries)
        : end(ring_end), entries_(entries) {}

    UntrustedArray<T> entries_;
};

}  // namespace annulus::channel
