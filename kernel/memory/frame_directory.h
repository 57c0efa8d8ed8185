// SPDX-License-Identifier: MIT
// FrameDirectory: which frame holds each page of a memory object. A tree of tables of 32-bit frame
// numbers, 1024 a table; objects of a few pages need no table.
//
//   height 0: the numbers lie in the directory itself      up to        4 pages
//   height 1: root_ is a table of frame numbers            up to     1024 pages
//   height 2, 3: tables of tables                          up to 2^20, 2^24 pages (64 GiB)
//
// 0 stands for "no page yet": frame 0 is never RAM that programs get.
// Locking: the owner's. The directory does not charge: it says how many tables it needs.
#pragma once

#include "base/result.h"

#include <stdint.h>

#include <span>

namespace annulus::kernel {

class FrameDirectory {
public:
    static constexpr uint64_t inline_pages = 4;
    static constexpr unsigned table_shift = 10;
    static constexpr uint64_t table_entries = uint64_t{1} << table_shift;

    explicit FrameDirectory(uint64_t pages) : height_(height_for(pages)) {}
    FrameDirectory(const FrameDirectory&) = delete;
    FrameDirectory& operator=(const FrameDirectory&) = delete;

    // Tables of a directory in which all of `pages` pages are there.
    static constexpr uint64_t tables_for(uint64_t pages);

    // The frame of a page, 0 if it has none. Indices are below the number of pages.
    uint32_t find(uint64_t index) const {
        if (height_ == 0) return inline_[index];
        const uint32_t* at = entry(index);
        return at == nullptr ? 0 : *at;
    }

    // The frames of the pages from `index` on that are in the same table; none if that is missing.
    // Good until the directory changes.
    std::span<const uint32_t> table_from(uint64_t index) const {
        const uint64_t size = height_ == 0 ? inline_pages : table_entries;
        const uint32_t* at = entry(index);
        return {at, at == nullptr ? 0 : size - index % size};
    }

    // Where a page's frame is kept, so that one can be entered there; null if its table is missing.
    // Good until tables are freed.
    uint32_t* place(uint64_t index) {
        // Safety: the directory is not const, and neither are its tables.
        return const_cast<uint32_t*>(entry(index));
    }

    // How many tables enter(index, ...) would make.
    unsigned tables_missing(uint64_t index) const;

    // Writes a page's frame, not 0, and makes the tables on the way. no_memory: nothing is entered.
    Result<void> enter(uint64_t index, uint32_t frame);

    // Takes out up to frames.size() frames of [cursor, end), in order, moves the cursor and counts
    // them. Returns at the latest after looking at `work` entries. Finished when cursor == end.
    unsigned take(uint64_t& cursor, uint64_t end, std::span<uint32_t> frames, unsigned work);

    // The first index at or after `cursor`, below `end`, that may have a frame: skips whole missing
    // tables.
    uint64_t skip_missing(uint64_t cursor, uint64_t end) const;

    // Frees up to `limit` tables, without looking at their entries; true when none is left.
    bool free_tables(unsigned limit);

private:
    struct Table;

    static constexpr unsigned height_for(uint64_t pages) {
        if (pages <= inline_pages) return 0;
        unsigned height = 1;
        while (uint64_t{1} << (height * table_shift) < pages) ++height;
        return height;
    }
    static uint32_t* table_at(uint32_t frame);
    const uint32_t* entry(uint64_t index) const;

    uint32_t inline_[inline_pages] = {};  // height 0: frames; else [0] is the root table's frame
    unsigned height_;
};

constexpr uint64_t FrameDirectory::tables_for(uint64_t pages) {
    uint64_t tables = 0;
    if (pages <= inline_pages) return 0;
    while (pages > 1) {
        pages = (pages + table_entries - 1) >> table_shift;
        tables += pages;
    }
    return tables;
}

}  // namespace annulus::kernel
