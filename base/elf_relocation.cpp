// SPDX-License-Identifier: MIT
// Checks an ELF64 image: the dynamic section and its relocations.
#include "base/elf_format.h"

namespace annulus {
namespace elf {
namespace {

// Tags of the dynamic section: gABI figure 5-10; DT_RELR from its later revision.
enum class Tag : uint64_t {
    end = 0,
    needed = 1,
    relocations = 7,         // DT_RELA: address of the table
    relocations_size = 8,    // DT_RELASZ
    relocations_entry = 9,   // DT_RELAENT
    short_relocations = 17,  // DT_REL
    text_relocations = 22,   // DT_TEXTREL
    jump_relocations = 23,   // DT_JMPREL
    flags = 30,
    packed_relocations = 36,  // DT_RELR
};

constexpr uint64_t flag_text_relocations = 4;  // DF_TEXTREL in DT_FLAGS

struct DynamicSection {
    std::optional<uint64_t> table;
    std::optional<uint64_t> size;
    std::optional<uint64_t> entry_size;
};

ElfError keep(std::optional<uint64_t>& place, uint64_t value) {
    if (place) return ElfError::bad_dynamic;
    place = value;
    return ElfError::none;
}

ElfError read_entry(uint64_t tag, uint64_t value, DynamicSection& section) {
    switch (Tag{tag}) {
        case Tag::needed: return ElfError::needs_interpreter;
        case Tag::relocations: return keep(section.table, value);
        case Tag::relocations_size: return keep(section.size, value);
        case Tag::relocations_entry: return keep(section.entry_size, value);
        case Tag::short_relocations:
        case Tag::text_relocations:
        case Tag::jump_relocations:
        case Tag::packed_relocations: return ElfError::unsupported_relocation;
        case Tag::flags:
            return (value & flag_text_relocations) ? ElfError::unsupported_relocation
                                                   : ElfError::none;
        default: return ElfError::none;  // symbols, hashes, names: not used by a static program
    }
}

ElfError read_dynamic(Image image, const ProgramHeader& header, const ElfPlan& plan,
                      DynamicSection& section) {
    const auto* segment = segment_with_file_bytes(plan, header.address, header.file_size);
    if (segment == nullptr || !same_bytes(*segment, header)) return ElfError::bad_dynamic;
    const uint64_t entries = header.file_size / dynamic_entry_size;
    for (uint64_t index = 0; index < entries; index++) {
        const size_t at = static_cast<size_t>(header.offset + index * dynamic_entry_size);
        const uint64_t tag = load64(image, at);
        if (Tag{tag} == Tag::end) return ElfError::none;
        if (const auto error = read_entry(tag, load64(image, at + 8), section);
            error != ElfError::none) {
            return error;
        }
    }
    return ElfError::bad_dynamic;  // not terminated
}

bool in_writable_segment(const ElfPlan& plan, uint64_t address, uint64_t size) {
    for (const ElfSegment& segment : plan.used_segments()) {
        if (segment.access != ElfAccess::read_write || address < segment.address) continue;
        if (fits(address - segment.address, size, segment.memory_size)) return true;
    }
    return false;
}

ElfError check_relocation(Image image, const ElfPlan& plan, size_t at) {
    const uint64_t place = load64(image, at);
    if (load64(image, at + 8) != relocation_relative) return ElfError::unsupported_relocation;
    if (place % 8 != 0 || !in_writable_segment(plan, place, 8)) return ElfError::bad_relocation;
    return ElfError::none;
}

}  // namespace

const ElfSegment* segment_with_file_bytes(const ElfPlan& plan, uint64_t address, uint64_t size) {
    for (const ElfSegment& segment : plan.used_segments()) {
        if (address < segment.address) continue;
        if (fits(address - segment.address, size, segment.file_size)) return &segment;
    }
    return nullptr;
}

bool same_bytes(const ElfSegment& segment, const ProgramHeader& header) {
    return header.offset - segment.file_offset == header.address - segment.address;
}

ElfError plan_relocations(Image image, const ProgramHeader& dynamic, ElfPlan& plan) {
    DynamicSection section;
    if (const auto error = read_dynamic(image, dynamic, plan, section); error != ElfError::none) {
        return error;
    }
    const uint64_t size = section.size.value_or(0);
    if (!section.table) return size == 0 ? ElfError::none : ElfError::bad_dynamic;
    if (!section.size || section.entry_size.value_or(0) != relocation_size) {
        return ElfError::bad_dynamic;
    }
    if (size == 0) return ElfError::none;
    if (size % relocation_size != 0) return ElfError::bad_relocation_table;
    const auto* segment = segment_with_file_bytes(plan, *section.table, size);
    // In writable memory the table could be changed by its own relocations.
    if (segment == nullptr || segment->access == ElfAccess::read_write) {
        return ElfError::bad_relocation_table;
    }
    plan.relocation_offset = segment->file_offset + (*section.table - segment->address);
    plan.relocation_count = static_cast<size_t>(size / relocation_size);
    for (size_t index = 0; index < plan.relocation_count; index++) {
        const size_t at = static_cast<size_t>(plan.relocation_offset) + index * relocation_size;
        if (const auto error = check_relocation(image, plan, at); error != ElfError::none) {
            return error;
        }
    }
    return ElfError::none;
}

}  // namespace elf

std::optional<ElfRelocation> elf_relocation(elf::Image image, const ElfPlan& plan, size_t index) {
    if (index >= plan.relocation_count) return std::nullopt;
    const uint64_t at = plan.relocation_offset + index * elf::relocation_size;
    if (!elf::fits(at, elf::relocation_size, image.size())) return std::nullopt;
    const size_t offset = static_cast<size_t>(at);
    return ElfRelocation{elf::load64(image, offset), elf::load64(image, offset + 16)};
}

}  // namespace annulus
