// SPDX-License-Identifier: MIT
// What lies where in a channel's memory: one number that both ends agree on, and the layouts.
//
// A Geometry says which structure a channel holds and how large its parts are; it packs into the
// 32-bit structure word that the channel object keeps, beside the memory's length and the version
// of the layouts. Everything below follows from it, so nothing about the layout is read from
// shared memory. Both directions of a structure have the same sizes.
#pragma once

#include "base/align.h"

#include <stdint.h>

#include <array>
#include <optional>

namespace annulus::channel {

// Grows when a layout or protocol changes in a way that an older peer would not understand.
inline constexpr uint32_t layout_version = 1;

enum class Structure : uint16_t {
    none = 0,
    bytes = 1,     // two byte streams
    messages = 2,  // two queues of 64-byte messages
    packets = 3,   // two packet queues, each with an active and a free ring and buffers
    latest = 4,    // two latest values
    requests = 5,  // a request ring, an answer ring, and a buffer for each slot
};

// The side that made the channel and the one that it was handed to.
enum class Side : uint8_t { first = 0, second = 1 };

constexpr Side opposite(Side side) { return side == Side::first ? Side::second : Side::first; }
// Direction d goes from side d to the other: side s sends in direction s.
constexpr unsigned sending_direction(Side side) { return static_cast<unsigned>(side); }
constexpr unsigned receiving_direction(Side side) { return 1 - static_cast<unsigned>(side); }

// Shared words that different sides write lie this far apart: two lines, since processors fetch
// lines in pairs.
inline constexpr uint64_t line_size = 128;
inline constexpr uint64_t page = 4096;

// A ring's shared words, from the ring's start.
inline constexpr uint64_t producer_index_offset = 0 * line_size;    // u32, the producer's
inline constexpr uint64_t consumer_index_offset = 1 * line_size;    // u32, the consumer's
inline constexpr uint64_t consumer_request_offset = 2 * line_size;  // u64, see channel/wake.h
inline constexpr uint64_t producer_request_offset = 3 * line_size;  // u64, see channel/wake.h
inline constexpr uint64_t ring_words_size = 4 * line_size;
// u32 beside the producer's index: not 0 when nothing will follow (byte streams).
inline constexpr uint64_t finished_offset = producer_index_offset + 64;

// Limits of the two numbers of a Geometry. Indices are compared in 32 bits, so a ring may hold
// 2^31 places at most; these stay below what fits sensibly in a channel.
inline constexpr uint8_t max_ring_log2 = 15;
inline constexpr uint8_t min_stream_log2 = 7;
inline constexpr uint8_t max_stream_log2 = 30;
inline constexpr uint8_t max_buffers_log2 = 10;  // of packets each way, and of requests
inline constexpr uint8_t min_buffer_log2 = 7;
inline constexpr uint8_t max_buffer_log2 = 16;  // 64 KiB: the largest IP packet and a header
inline constexpr uint8_t max_request_buffer_log2 = 20;  // 1 MiB, as a large transfer of a disk
inline constexpr uint8_t min_value_log2 = 3;
inline constexpr uint8_t max_value_log2 = 16;  // the reader copies it, perhaps several times

struct Geometry {
    Structure structure = Structure::none;
    uint8_t slots_log2 = 0;  // log2 of entries in a ring
    uint8_t size_log2 = 0;   // log2 of bytes: of a stream, a message, a buffer, a value

    constexpr uint32_t slots() const { return uint32_t{1} << slots_log2; }
    constexpr uint64_t size() const { return uint64_t{1} << size_log2; }

    // The structure word of a channel object.
    constexpr uint32_t word() const {
        return static_cast<uint32_t>(structure) | uint32_t{slots_log2} << 16 |
               uint32_t{size_log2} << 24;
    }

    // The geometry that a word means, or nothing if it is unknown or beyond a limit.
    static constexpr std::optional<Geometry> from_word(uint32_t word) {
        const Geometry geometry = {.structure = static_cast<Structure>(word & 0xffff),
                                   .slots_log2 = static_cast<uint8_t>(word >> 16),
                                   .size_log2 = static_cast<uint8_t>(word >> 24)};
        if (!geometry.valid()) return std::nullopt;
        return geometry;
    }

    constexpr bool valid() const {
        switch (structure) {
            case Structure::bytes:
                return slots_log2 == 0 && within(size_log2, min_stream_log2, max_stream_log2);
            case Structure::messages: return slots_log2 <= max_ring_log2 && size_log2 == 6;
            case Structure::packets:
                return slots_log2 <= max_buffers_log2 &&
                       within(size_log2, min_buffer_log2, max_buffer_log2);
            case Structure::latest:
                return slots_log2 == 0 && within(size_log2, min_value_log2, max_value_log2);
            case Structure::requests:
                return slots_log2 <= max_buffers_log2 &&
                       within(size_log2, min_buffer_log2, max_request_buffer_log2);
            case Structure::none: break;
        }
        return false;
    }

    // Bytes of channel memory, a multiple of a page. The geometry is valid.
    constexpr uint64_t length() const;

    constexpr bool operator==(const Geometry&) const = default;

private:
    static constexpr bool within(uint8_t value, uint8_t low, uint8_t high) {
        return low <= value && value <= high;
    }
};

// Two streams of 2^stream_log2 bytes each.
constexpr Geometry bytes_geometry(uint8_t stream_log2) {
    return {.structure = Structure::bytes, .slots_log2 = 0, .size_log2 = stream_log2};
}
// Two queues of 2^slots_log2 messages each.
constexpr Geometry messages_geometry(uint8_t slots_log2) {
    return {.structure = Structure::messages, .slots_log2 = slots_log2, .size_log2 = 6};
}
// In each direction 2^slots_log2 buffers of 2^buffer_log2 bytes.
constexpr Geometry packets_geometry(uint8_t slots_log2, uint8_t buffer_log2) {
    return {.structure = Structure::packets, .slots_log2 = slots_log2, .size_log2 = buffer_log2};
}

// A value of 2^value_log2 bytes in each direction.
constexpr Geometry latest_geometry(uint8_t value_log2) {
    return {.structure = Structure::latest, .slots_log2 = 0, .size_log2 = value_log2};
}

// 2^slots_log2 requests at a time, each with a buffer of 2^buffer_log2 bytes.
constexpr Geometry requests_geometry(uint8_t slots_log2, uint8_t buffer_log2) {
    return {.structure = Structure::requests, .slots_log2 = slots_log2, .size_log2 = buffer_log2};
}

// Offsets in channel memory, one for each direction. Data begins on a page of its own.
struct BytesLayout {
    std::array<uint64_t, 2> ring;
    std::array<uint64_t, 2> data;
    uint64_t length;
};
constexpr BytesLayout bytes_layout(Geometry geometry) {
    return {.ring = {0, ring_words_size},
            .data = {page, page + geometry.size()},
            .length = align_up(page + 2 * geometry.size(), page)};
}

inline constexpr uint64_t message_size = 64;

struct MessagesLayout {
    std::array<uint64_t, 2> ring;
    std::array<uint64_t, 2> entries;
    uint64_t length;
};
constexpr MessagesLayout messages_layout(Geometry geometry) {
    const uint64_t entries = geometry.slots() * message_size;
    const uint64_t first = 2 * ring_words_size;
    const uint64_t second = align_up(first + entries, line_size);
    return {.ring = {0, ring_words_size},
            .entries = {first, second},
            .length = align_up(second + entries, page)};
}

inline constexpr uint64_t packet_entry_size = 32;
inline constexpr uint64_t free_entry_size = 4;

struct PacketsLayout {
    std::array<uint64_t, 2> active_ring;
    std::array<uint64_t, 2> free_ring;
    std::array<uint64_t, 2> active_entries;
    std::array<uint64_t, 2> free_entries;
    std::array<uint64_t, 2> buffers;
    uint64_t length;
};
constexpr PacketsLayout packets_layout(Geometry geometry) {
    const uint64_t active = align_up(geometry.slots() * packet_entry_size, line_size);
    const uint64_t free = align_up(geometry.slots() * free_entry_size, line_size);
    const uint64_t entries = 4 * ring_words_size;
    const uint64_t frees = entries + 2 * active;
    const uint64_t buffers = align_up(frees + 2 * free, page);
    const uint64_t bytes = geometry.slots() * geometry.size();
    return {.active_ring = {0, 2 * ring_words_size},
            .free_ring = {ring_words_size, 3 * ring_words_size},
            .active_entries = {entries, entries + active},
            .free_entries = {frees, frees + free},
            .buffers = {buffers, buffers + bytes},
            .length = align_up(buffers + 2 * bytes, page)};
}

// A latest value has the words of a ring, of which it uses the producer's index and the consumer's
// request, and this many slots: see channel/latest_value.h.
inline constexpr uint64_t latest_slots = 4;

struct LatestLayout {
    std::array<uint64_t, 2> words;
    std::array<uint64_t, 2> slots;
    uint64_t length;
};
constexpr LatestLayout latest_layout(Geometry geometry) {
    const uint64_t slots = align_up(latest_slots * geometry.size(), line_size);
    const uint64_t first = 2 * ring_words_size;
    return {.words = {0, ring_words_size},
            .slots = {first, first + slots},
            .length = align_up(first + 2 * slots, page)};
}

inline constexpr uint64_t request_entry_size = 32;
inline constexpr uint64_t answer_entry_size = 16;

struct RequestsLayout {
    uint64_t request_ring;
    uint64_t answer_ring;
    uint64_t request_entries;
    uint64_t answer_entries;
    uint64_t buffers;
    uint64_t length;
};
constexpr RequestsLayout requests_layout(Geometry geometry) {
    const uint64_t requests = 2 * ring_words_size;
    const uint64_t answers = requests + align_up(geometry.slots() * request_entry_size, line_size);
    const uint64_t buffers = align_up(answers + geometry.slots() * answer_entry_size, page);
    return {.request_ring = 0,
            .answer_ring = ring_words_size,
            .request_entries = requests,
            .answer_entries = answers,
            .buffers = buffers,
            .length = align_up(buffers + geometry.slots() * geometry.size(), page)};
}

constexpr uint64_t Geometry::length() const {
    switch (structure) {
        case Structure::bytes: return bytes_layout(*this).length;
        case Structure::messages: return messages_layout(*this).length;
        case Structure::packets: return packets_layout(*this).length;
        case Structure::latest: return latest_layout(*this).length;
        case Structure::requests: return requests_layout(*this).length;
        case Structure::none: break;
    }
    return 0;
}

// True if a channel object's words describe this geometry: what an end checks before it maps.
constexpr bool agrees(Geometry geometry, uint64_t length, uint32_t structure, uint32_t version) {
    return geometry.valid() && version == layout_version && structure == geometry.word() &&
           length == geometry.length();
}

}  // namespace annulus::channel
