// SPDX-License-Identifier: MIT
// The tree of tables of frame numbers.
#include "kernel/memory/frame_directory.h"

#include "kernel/memory/frames.h"

namespace annulus::kernel {

uint32_t* FrameDirectory::table_at(uint32_t frame) {
    // Safety: a frame that this directory allocated as a table, seen through the direct map.
    return reinterpret_cast<uint32_t*>(frame_pointer(frame));
}

// The entry of a page, or null when a table on the way is missing.
const uint32_t* FrameDirectory::entry(uint64_t index) const {
    if (height_ == 0) return &inline_[index];
    uint32_t frame = inline_[0];
    for (unsigned level = height_; frame != 0; --level) {
        const unsigned shift = (level - 1) * table_shift;
        const uint32_t* at = table_at(frame) + (index >> shift & (table_entries - 1));
        if (level == 1) return at;
        frame = *at;
    }
    return nullptr;
}

unsigned FrameDirectory::tables_missing(uint64_t index) const {
    if (height_ == 0) return 0;
    uint32_t frame = inline_[0];
    for (unsigned level = height_; level > 0; --level) {
        if (frame == 0) return level;
        frame = table_at(frame)[index >> ((level - 1) * table_shift) & (table_entries - 1)];
    }
    return 0;
}

Result<void> FrameDirectory::enter(uint64_t index, uint32_t frame) {
    if (height_ == 0) {
        inline_[index] = frame;
        return {};
    }
    uint32_t* at = &inline_[0];
    for (unsigned level = height_; level > 0; --level) {
        if (*at == 0) *at = TRY(allocate_frame(FrameContent::zeroed));
        at = table_at(*at) + (index >> ((level - 1) * table_shift) & (table_entries - 1));
    }
    *at = frame;
    return {};
}

uint64_t FrameDirectory::skip_missing(uint64_t cursor, uint64_t end) const {
    if (height_ == 0) return cursor;
    uint32_t frame = inline_[0];
    unsigned level = height_;
    for (; frame != 0 && level > 1; --level) {
        frame = table_at(frame)[cursor >> ((level - 1) * table_shift) & (table_entries - 1)];
    }
    if (frame != 0) return cursor;
    // The missing table covers 1024^level pages.
    const uint64_t span = uint64_t{1} << (level * table_shift);
    const uint64_t next = (cursor & ~(span - 1)) + span;
    return next < end ? next : end;
}

unsigned FrameDirectory::take(uint64_t& cursor, uint64_t end, std::span<uint32_t> frames,
                              unsigned work) {
    unsigned count = 0;
    for (; work > 0 && cursor < end && count < frames.size(); --work) {
        const uint64_t next = skip_missing(cursor, end);
        if (next != cursor) {
            cursor = next;
            continue;
        }
        // The entry is this directory's own, which is not const here.
        uint32_t* at = const_cast<uint32_t*>(entry(cursor++));
        if (*at == 0) continue;
        frames[count++] = *at;
        *at = 0;
    }
    return count;
}

bool FrameDirectory::free_tables(unsigned limit) {
    if (height_ == 0) return true;
    // Always goes down to the first table that has no tables below it and frees that one.
    while (inline_[0] != 0) {
        if (limit-- == 0) return false;
        uint32_t* at = &inline_[0];
        for (unsigned level = height_; level > 1; --level) {
            uint32_t* table = table_at(*at);
            uint32_t* child = table;
            while (child < table + table_entries && *child == 0) ++child;
            if (child == table + table_entries) break;
            at = child;
        }
        free_frame(*at);
        *at = 0;
    }
    return true;
}

}  // namespace annulus::kernel
