// SPDX-License-Identifier: MIT
// Geometries: words that mean something, limits, and layouts in which nothing overlaps.
#include "channel/geometry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace annulus::channel {
namespace {

TEST(Geometry, WordsRoundTrip) {
    for (const Geometry geometry :
         {bytes_geometry(12), messages_geometry(0), messages_geometry(15), packets_geometry(10, 11),
          packets_geometry(0, 7), latest_geometry(3), latest_geometry(16), requests_geometry(0, 7),
          requests_geometry(10, 20)}) {
        ASSERT_TRUE(geometry.valid());
        EXPECT_EQ(Geometry::from_word(geometry.word()), geometry);
        EXPECT_TRUE(agrees(geometry, geometry.length(), geometry.word(), layout_version));
        EXPECT_FALSE(agrees(geometry, geometry.length() + page, geometry.word(), layout_version));
        EXPECT_FALSE(agrees(geometry, geometry.length(), geometry.word(), layout_version + 1));
        EXPECT_FALSE(agrees(geometry, geometry.length(), geometry.word() + 1, layout_version));
    }
}

TEST(Geometry, LimitsAndOneBeyond) {
    EXPECT_TRUE(bytes_geometry(min_stream_log2).valid());
    EXPECT_FALSE(bytes_geometry(min_stream_log2 - 1).valid());
    EXPECT_TRUE(bytes_geometry(max_stream_log2).valid());
    EXPECT_FALSE(bytes_geometry(max_stream_log2 + 1).valid());
    EXPECT_TRUE(messages_geometry(max_ring_log2).valid());
    EXPECT_FALSE(messages_geometry(max_ring_log2 + 1).valid());
    EXPECT_TRUE(packets_geometry(max_buffers_log2, max_buffer_log2).valid());
    EXPECT_FALSE(packets_geometry(max_buffers_log2 + 1, 11).valid());
    EXPECT_FALSE(packets_geometry(4, max_buffer_log2 + 1).valid());
    EXPECT_TRUE(packets_geometry(4, min_buffer_log2).valid());
    EXPECT_FALSE(packets_geometry(4, min_buffer_log2 - 1).valid());
    EXPECT_TRUE(latest_geometry(min_value_log2).valid());
    EXPECT_FALSE(latest_geometry(min_value_log2 - 1).valid());
    EXPECT_TRUE(latest_geometry(max_value_log2).valid());
    EXPECT_FALSE(latest_geometry(max_value_log2 + 1).valid());
    EXPECT_TRUE(requests_geometry(max_buffers_log2, max_request_buffer_log2).valid());
    EXPECT_FALSE(requests_geometry(max_buffers_log2 + 1, 12).valid());
    EXPECT_FALSE(requests_geometry(4, max_request_buffer_log2 + 1).valid());
    EXPECT_FALSE(requests_geometry(4, min_buffer_log2 - 1).valid());
    EXPECT_FALSE(Geometry::from_word(0));
    EXPECT_FALSE(Geometry::from_word(99));
    EXPECT_FALSE(Geometry::from_word(UINT32_MAX));
    EXPECT_FALSE(Geometry::from_word(1 | 1 << 16 | 12 << 24)) << "streams have no slots";
}

struct Part {
    uint64_t begin;
    uint64_t size;
};

void expect_disjoint(std::vector<Part> parts, uint64_t length) {
    std::ranges::sort(parts, {}, &Part::begin);
    uint64_t end = 0;
    for (const Part& part : parts) {
        EXPECT_GE(part.begin, end);
        EXPECT_EQ(part.begin % line_size, 0u);
        end = part.begin + part.size;
    }
    EXPECT_LE(end, length);
    EXPECT_EQ(length % page, 0u);
}

TEST(Geometry, PartsDoNotOverlap) {
    for (uint8_t log2 : {min_stream_log2, uint8_t{12}, uint8_t{20}}) {
        const Geometry geometry = bytes_geometry(log2);
        const BytesLayout at = bytes_layout(geometry);
        expect_disjoint({{at.ring[0], ring_words_size},
                         {at.ring[1], ring_words_size},
                         {at.data[0], geometry.size()},
                         {at.data[1], geometry.size()}},
                        geometry.length());
    }
    for (uint8_t log2 = 0; log2 <= max_ring_log2; ++log2) {
        const Geometry geometry = messages_geometry(log2);
        const MessagesLayout at = messages_layout(geometry);
        const uint64_t entries = geometry.slots() * message_size;
        expect_disjoint({{at.ring[0], ring_words_size},
                         {at.ring[1], ring_words_size},
                         {at.entries[0], entries},
                         {at.entries[1], entries}},
                        geometry.length());
    }
    for (uint8_t log2 = min_value_log2; log2 <= max_value_log2; ++log2) {
        const Geometry geometry = latest_geometry(log2);
        const LatestLayout at = latest_layout(geometry);
        const uint64_t slots = latest_slots * geometry.size();
        expect_disjoint({{at.words[0], ring_words_size},
                         {at.words[1], ring_words_size},
                         {at.slots[0], slots},
                         {at.slots[1], slots}},
                        geometry.length());
    }
    for (uint8_t log2 = 0; log2 <= max_buffers_log2; ++log2) {
        const Geometry geometry = packets_geometry(log2, 11);
        const PacketsLayout at = packets_layout(geometry);
        std::vector<Part> parts;
        for (unsigned d : {0, 1}) {
            parts.push_back({at.active_ring[d], ring_words_size});
            parts.push_back({at.free_ring[d], ring_words_size});
            parts.push_back({at.active_entries[d], geometry.slots() * packet_entry_size});
            parts.push_back({at.free_entries[d], geometry.slots() * free_entry_size});
            parts.push_back({at.buffers[d], geometry.slots() * geometry.size()});
        }
        expect_disjoint(parts, geometry.length());
    }
    for (uint8_t log2 = 0; log2 <= max_buffers_log2; ++log2) {
        const Geometry geometry = requests_geometry(log2, 12);
        const RequestsLayout at = requests_layout(geometry);
        expect_disjoint({{at.request_ring, ring_words_size},
                         {at.answer_ring, ring_words_size},
                         {at.request_entries, geometry.slots() * request_entry_size},
                         {at.answer_entries, geometry.slots() * answer_entry_size},
                         {at.buffers, geometry.slots() * geometry.size()}},
                        geometry.length());
        EXPECT_EQ(at.buffers % page, 0u);
    }
}

}  // namespace
}  // namespace annulus::channel
