// SPDX-License-Identifier: MIT
// Checks a program's image, a static position-independent ELF64 file in memory, and plans its load.
//
// Pure: nothing is mapped or written. Whoever loads the program (the kernel for the first one, the
// runtime for all others) executes the plan:
//   1. choose a base, a multiple of `ElfPlan::alignment`, with `ElfPlan::span` free bytes;
//   2. for each segment: zeroed memory for its pages [base + first_page(), base + end_page()), its
//      file bytes copied to base + address;
//   3. for each relocation: store base + addend, 64 bits, at base + offset;
//   4. protect each segment with its access, `relro` read-only; start at base + entry.
//
// The image is hostile: every offset, size and address is checked, so that a loader that follows
// the plan stays inside the image and inside the span. What the checks do not promise is that the
// program works. The image must not change between `plan_elf` and the end of the load.
//
// References: System V ABI (gABI) chapters 4 and 5; x86-64 psABI 4.4 (relocation types).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace annulus {

// PT_LOAD entries at most. A linker makes four (read-only, code, relro, data); twice that is room
// for an unusual layout.
inline constexpr size_t elf_max_segments = 8;

// Program header entries at most; a linked program has about ten.
inline constexpr size_t elf_max_headers = 32;

// Largest alignment that a segment may ask for: one huge page.
inline constexpr uint64_t elf_max_alignment = uint64_t{2} << 20;

enum class ElfError : uint8_t {
    none,
    too_short,                 // shorter than an ELF header
    bad_magic,                 // not an ELF file
    wrong_class,               // not 64 bit, little endian, version 1, System V
    wrong_machine,             // not x86-64
    not_position_independent,  // not ET_DYN
    bad_header,                // sizes or counts in the ELF header
    headers_outside,           // the program headers lie outside the image
    too_many_headers,          // more than elf_max_headers
    needs_interpreter,         // PT_INTERP, DT_NEEDED: not static
    executable_stack,          // PT_GNU_STACK asks for execution
    no_segments,               // nothing to load
    too_many_segments,         // more than elf_max_segments
    bad_segment_flags,         // writable and executable, not readable, or unknown flags
    bad_alignment,             // no power of two from a page up, or offset and address disagree
    bad_segment_size,          // no memory, or more bytes in the file than in memory
    segment_outside,           // file bytes outside the image
    segment_too_large,         // addresses beyond the limit
    segments_overlap,          // not ascending, or two segments share a page
    bad_entry,                 // not inside an executable segment's file bytes
    duplicate_header,          // a second PT_TLS, PT_DYNAMIC or PT_GNU_RELRO
    bad_tls,                   // PT_TLS outside the segments, or its sizes or alignment
    bad_relro,                 // PT_GNU_RELRO not in a writable segment, or not whole pages of it
    bad_dynamic,               // PT_DYNAMIC outside the segments, or duplicate or missing tags
    unsupported_relocation,    // DT_REL, DT_RELR, DT_JMPREL, DT_TEXTREL or another type
    bad_relocation_table,      // the table is not in a read-only segment's file bytes, or its size
    bad_relocation,            // a relocation's place is unaligned or not in a writable segment
};

// A sentence part such as "two segments overlap"; static storage.
[[nodiscard]] std::string_view describe(ElfError error);

enum class ElfAccess : uint8_t { read, read_write, read_execute };

// One PT_LOAD. Addresses are relative to the base.
struct ElfSegment {
    uint64_t file_offset = 0;
    uint64_t file_size = 0;    // bytes from the image; the rest of the memory is zero
    uint64_t address = 0;      // congruent to file_offset modulo the page size
    uint64_t memory_size = 0;  // at least file_size and 1
    ElfAccess access = ElfAccess::read;

    [[nodiscard]] uint64_t first_page() const;  // address, rounded down to a page
    [[nodiscard]] uint64_t end_page() const;    // address + memory_size, rounded up
};

// Thread-local storage: its initial bytes, then zeros. The initial bytes, if there are any, lie
// inside a segment, so they can be copied from the loaded program.
struct ElfTls {
    uint64_t address = 0;
    uint64_t file_size = 0;
    uint64_t memory_size = 0;
    uint64_t alignment = 1;  // a power of two, at most a page
};

// Whole pages that become read-only after relocation; inside one writable segment's pages.
struct ElfRange {
    uint64_t address = 0;
    uint64_t size = 0;
};

struct ElfPlan {
    uint64_t entry = 0;
    uint64_t span = 0;         // end of the last segment, rounded up; the first page is at base + 0
    uint64_t mapped_size = 0;  // bytes of all segments' pages: what the load costs
    uint64_t alignment = 0;    // of the base; at least a page
    size_t segment_count = 0;
    std::array<ElfSegment, elf_max_segments> segments{};  // ascending, without a common page
    std::optional<ElfTls> tls;
    std::optional<ElfRange> relro;
    uint64_t relocation_offset = 0;  // file offset of the table
    size_t relocation_count = 0;

    [[nodiscard]] std::span<const ElfSegment> used_segments() const {
        return std::span(segments).first(segment_count);
    }
};

// Store base + addend at base + offset. The place is 8-byte aligned, so it never crosses a page,
// and in a writable segment.
struct ElfRelocation {
    uint64_t offset = 0;
    uint64_t addend = 0;
};

// The plan for `image`, of which no address may reach `max_span`. On an error there is no plan and
// `error` says why; otherwise it is none. Time is linear in the image's size.
[[nodiscard]] std::optional<ElfPlan> plan_elf(std::span<const std::byte> image, uint64_t max_span,
                                              ElfError& error);

// Relocation `index` (below `relocation_count`) of the image that the plan was made for; an index
// or an image that does not fit gives nothing.
[[nodiscard]] std::optional<ElfRelocation> elf_relocation(std::span<const std::byte> image,
                                                          const ElfPlan& plan, size_t index);

}  // namespace annulus
