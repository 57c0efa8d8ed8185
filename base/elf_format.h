// SPDX-License-Identifier: MIT
// The ELF64 file format as far as the loader needs it, and checked access to an image's bytes.
// For elf.cpp and elf_relocation.cpp only; numbers from gABI chapters 4 and 5 and the x86-64 psABI.
#pragma once

#include "base/elf.h"

namespace annulus::elf {

using Image = std::span<const std::byte>;

inline constexpr uint32_t magic = 0x464c457f;  // "\x7f" "ELF", little endian
inline constexpr uint8_t class_64 = 2;
inline constexpr uint8_t little_endian = 1;
inline constexpr uint8_t version = 1;
inline constexpr uint8_t system_v = 0;
inline constexpr uint16_t type_dynamic = 3;
inline constexpr uint16_t machine_x86_64 = 62;

inline constexpr size_t file_header_size = 64;
inline constexpr size_t program_header_size = 56;
inline constexpr size_t dynamic_entry_size = 16;
inline constexpr size_t relocation_size = 24;  // Elf64_Rela

inline constexpr uint32_t segment_load = 1;
inline constexpr uint32_t segment_dynamic = 2;
inline constexpr uint32_t segment_interpreter = 3;
inline constexpr uint32_t segment_tls = 7;
inline constexpr uint32_t segment_gnu_stack = 0x6474e551;
inline constexpr uint32_t segment_gnu_relro = 0x6474e552;

inline constexpr uint32_t flag_execute = 1;
inline constexpr uint32_t flag_write = 2;
inline constexpr uint32_t flag_read = 4;

inline constexpr uint64_t relocation_relative = 8;  // R_X86_64_RELATIVE, with symbol 0

struct ProgramHeader {
    uint32_t type;
    uint32_t flags;
    uint64_t offset;
    uint64_t address;
    uint64_t file_size;
    uint64_t memory_size;
    uint64_t alignment;
};

// True if [offset, offset + size) lies within [0, limit), without overflow.
constexpr bool fits(uint64_t offset, uint64_t size, uint64_t limit) {
    return offset <= limit && size <= limit - offset;
}

// Little-endian value of `bytes` bytes at `offset`; the caller has checked that they are inside.
// Byte by byte, since nothing in a hostile image is aligned.
inline uint64_t load(Image image, size_t offset, size_t bytes) {
    uint64_t value = 0;
    for (size_t index = bytes; index > 0; index--) {
        value = value << 8 | std::to_integer<uint64_t>(image[offset + index - 1]);
    }
    return value;
}

inline uint8_t load8(Image image, size_t at) { return static_cast<uint8_t>(load(image, at, 1)); }
inline uint16_t load16(Image image, size_t at) { return static_cast<uint16_t>(load(image, at, 2)); }
inline uint32_t load32(Image image, size_t at) { return static_cast<uint32_t>(load(image, at, 4)); }
inline uint64_t load64(Image image, size_t at) { return load(image, at, 8); }

inline ProgramHeader load_program_header(Image image, size_t at) {
    return {load32(image, at),      load32(image, at + 4),  load64(image, at + 8),
            load64(image, at + 16), load64(image, at + 32), load64(image, at + 40),
            load64(image, at + 48)};
}

// The segment that holds all of [address, address + size) as bytes from the file; null if none.
const ElfSegment* segment_with_file_bytes(const ElfPlan& plan, uint64_t address, uint64_t size);

// True if the header's bytes in the file are those that the segment loads at its address.
bool same_bytes(const ElfSegment& segment, const ProgramHeader& header);

// Reads PT_DYNAMIC, checks every relocation, and enters the table in the plan. The plan's segments
// must be complete.
[[nodiscard]] ElfError plan_relocations(Image image, const ProgramHeader& dynamic, ElfPlan& plan);

}  // namespace annulus::elf
