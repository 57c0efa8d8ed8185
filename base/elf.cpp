// SPDX-License-Identifier: MIT
// Checks an ELF64 image and plans its load: headers and segments.
#include "base/elf.h"

#include "abi/limits.h"
#include "base/elf_format.h"

namespace annulus {
namespace {

using namespace elf;
using abi::page_size;

bool is_power_of_two(uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }

// Builds a plan step by step; each step may rely on the ones before.
class Planner {
public:
    Planner(Image image, uint64_t max_span) : image_(image), max_span_(max_span) {}

    [[nodiscard]] ElfError run();
    [[nodiscard]] const ElfPlan& plan() const { return plan_; }

private:
    [[nodiscard]] ElfError read_file_header();
    [[nodiscard]] ElfError read_program_headers();
    [[nodiscard]] ElfError read_program_header(const ProgramHeader& header);
    [[nodiscard]] ElfError add_segment(const ProgramHeader& header);
    [[nodiscard]] ElfError check_entry() const;
    [[nodiscard]] ElfError check_tls();
    [[nodiscard]] ElfError check_relro();

    Image image_;
    uint64_t max_span_;
    uint64_t headers_offset_ = 0;
    size_t header_count_ = 0;
    std::optional<ProgramHeader> tls_;
    std::optional<ProgramHeader> relro_;
    std::optional<ProgramHeader> dynamic_;
    ElfPlan plan_;
};

ElfError Planner::run() {
    ElfError error = read_file_header();
    if (error == ElfError::none) error = read_program_headers();
    if (error == ElfError::none) error = check_entry();
    if (error == ElfError::none) error = check_tls();
    if (error == ElfError::none) error = check_relro();
    if (error == ElfError::none && dynamic_) error = plan_relocations(image_, *dynamic_, plan_);
    return error;
}

ElfError Planner::read_file_header() {
    if (image_.size() < file_header_size) return ElfError::too_short;
    if (load32(image_, 0) != magic) return ElfError::bad_magic;
    const bool right_class = load8(image_, 4) == class_64 && load8(image_, 5) == little_endian &&
                             load8(image_, 6) == version && load8(image_, 7) == system_v &&
                             load32(image_, 20) == version;
    if (!right_class) return ElfError::wrong_class;
    if (load16(image_, 18) != machine_x86_64) return ElfError::wrong_machine;
    if (load16(image_, 16) != type_dynamic) return ElfError::not_position_independent;
    plan_.entry = load64(image_, 24);
    headers_offset_ = load64(image_, 32);
    header_count_ = load16(image_, 56);
    if (load16(image_, 52) != file_header_size || load16(image_, 54) != program_header_size) {
        return ElfError::bad_header;
    }
    if (header_count_ > elf_max_headers) return ElfError::too_many_headers;
    if (!fits(headers_offset_, header_count_ * program_header_size, image_.size())) {
        return ElfError::headers_outside;
    }
    return ElfError::none;
}

ElfError Planner::read_program_headers() {
    plan_.alignment = page_size;
    for (size_t index = 0; index < header_count_; index++) {
        const size_t offset = static_cast<size_t>(headers_offset_) + index * program_header_size;
        if (const auto error = read_program_header(load_program_header(image_, offset));
            error != ElfError::none) {
            return error;
        }
    }
    if (plan_.segment_count == 0) return ElfError::no_segments;
    plan_.span = plan_.segments[plan_.segment_count - 1].end_page();
    return ElfError::none;
}

ElfError Planner::read_program_header(const ProgramHeader& header) {
    const auto keep = [&header](std::optional<ProgramHeader>& place) {
        if (place) return ElfError::duplicate_header;
        place = header;
        return ElfError::none;
    };
    switch (header.type) {
        case segment_load: return add_segment(header);
        case segment_tls: return keep(tls_);
        case segment_dynamic: return keep(dynamic_);
        case segment_gnu_relro: return keep(relro_);
        case segment_interpreter: return ElfError::needs_interpreter;
        case segment_gnu_stack:
            return (header.flags & flag_execute) ? ElfError::executable_stack : ElfError::none;
        default: return ElfError::none;  // notes, unwind tables: nothing to do for a loader
    }
}

ElfError Planner::add_segment(const ProgramHeader& header) {
    if (plan_.segment_count == elf_max_segments) return ElfError::too_many_segments;
    ElfSegment segment{header.offset, header.file_size, header.address, header.memory_size,
                       ElfAccess::read};
    switch (header.flags) {
        case flag_read: break;
        case flag_read | flag_write: segment.access = ElfAccess::read_write; break;
        case flag_read | flag_execute: segment.access = ElfAccess::read_execute; break;
        default: return ElfError::bad_segment_flags;
    }
    if (!is_power_of_two(header.alignment) || header.alignment < page_size ||
        header.alignment > elf_max_alignment ||
        (header.address - header.offset) % header.alignment != 0) {
        return ElfError::bad_alignment;
    }
    if (header.memory_size == 0 || header.file_size > header.memory_size) {
        return ElfError::bad_segment_size;
    }
    if (!fits(header.offset, header.file_size, image_.size())) return ElfError::segment_outside;
    // After this, rounding up cannot overflow: the last page's end is at most max_span_.
    const uint64_t whole_pages = max_span_ / page_size * page_size;
    if (!fits(header.address, header.memory_size, whole_pages)) return ElfError::segment_too_large;
    if (plan_.segment_count > 0 &&
        segment.first_page() < plan_.segments[plan_.segment_count - 1].end_page()) {
        return ElfError::segments_overlap;
    }
    if (plan_.alignment < header.alignment) plan_.alignment = header.alignment;
    plan_.mapped_size += segment.end_page() - segment.first_page();
    plan_.segments[plan_.segment_count++] = segment;
    return ElfError::none;
}

ElfError Planner::check_entry() const {
    const ElfSegment* segment = segment_with_file_bytes(plan_, plan_.entry, 1);
    const bool executable = segment != nullptr && segment->access == ElfAccess::read_execute;
    return executable ? ElfError::none : ElfError::bad_entry;
}

ElfError Planner::check_tls() {
    if (!tls_) return ElfError::none;
    const uint64_t alignment = tls_->alignment == 0 ? 1 : tls_->alignment;
    if (!is_power_of_two(alignment) || alignment > page_size ||
        tls_->file_size > tls_->memory_size || tls_->memory_size > max_span_) {
        return ElfError::bad_tls;
    }
    if (tls_->file_size != 0) {
        const auto* segment = segment_with_file_bytes(plan_, tls_->address, tls_->file_size);
        if (segment == nullptr || !same_bytes(*segment, *tls_)) return ElfError::bad_tls;
    }
    plan_.tls = ElfTls{tls_->address, tls_->file_size, tls_->memory_size, alignment};
    return ElfError::none;
}

// The range may start and end inside a page only where its segment does: a page has one protection,
// and what else of the segment lay in the page would become read-only with it.
ElfError Planner::check_relro() {
    if (!relro_ || relro_->memory_size == 0) return ElfError::none;
    for (const ElfSegment& segment : plan_.used_segments()) {
        const uint64_t address = relro_->address;
        if (segment.access != ElfAccess::read_write || address < segment.address) continue;
        const uint64_t room = segment.end_page() - segment.address;
        if (!fits(address - segment.address, relro_->memory_size, room)) continue;

        const uint64_t end = address + relro_->memory_size;
        const bool whole_start = address % page_size == 0 || address == segment.address;
        const bool whole_end = end % page_size == 0 || end == segment.address + segment.memory_size;
        if (!whole_start || !whole_end) return ElfError::bad_relro;
        const uint64_t first = address / page_size * page_size;
        plan_.relro = ElfRange{first, (end + page_size - 1) / page_size * page_size - first};
        return ElfError::none;
    }
    return ElfError::bad_relro;
}

}  // namespace

uint64_t ElfSegment::first_page() const { return address / page_size * page_size; }

uint64_t ElfSegment::end_page() const {
    return (address + memory_size + page_size - 1) / page_size * page_size;
}

std::optional<ElfPlan> plan_elf(Image image, uint64_t max_span, ElfError& error) {
    // Far from the top of the address space, so that rounding addresses up never overflows.
    const uint64_t limit = max_span < abi::user_end ? max_span : abi::user_end;
    Planner planner(image, limit);
    error = planner.run();
    if (error != ElfError::none) return std::nullopt;
    return planner.plan();
}

std::string_view describe(ElfError error) {
    switch (error) {
        case ElfError::none: return "nothing is wrong";
        case ElfError::too_short: return "shorter than an ELF header";
        case ElfError::bad_magic: return "not an ELF file";
        case ElfError::wrong_class: return "not a 64-bit little-endian System V ELF file";
        case ElfError::wrong_machine: return "not for x86-64";
        case ElfError::not_position_independent: return "not position independent";
        case ElfError::bad_header: return "the ELF header is malformed";
        case ElfError::headers_outside: return "the program headers lie outside the image";
        case ElfError::too_many_headers: return "too many program headers";
        case ElfError::needs_interpreter: return "not static: it needs other files";
        case ElfError::executable_stack: return "it asks for an executable stack";
        case ElfError::no_segments: return "nothing to load";
        case ElfError::too_many_segments: return "too many segments";
        case ElfError::bad_segment_flags:
            return "a segment is writable and executable, not readable, or has unknown flags";
        case ElfError::bad_alignment: return "a segment's alignment is wrong";
        case ElfError::bad_segment_size:
            return "a segment is empty or has more bytes in the file than in memory";
        case ElfError::segment_outside: return "a segment's bytes lie outside the image";
        case ElfError::segment_too_large: return "a segment reaches beyond the largest address";
        case ElfError::segments_overlap: return "two segments overlap, share a page or descend";
        case ElfError::bad_entry: return "the entry point lies outside the program's code";
        case ElfError::duplicate_header: return "a program header occurs twice";
        case ElfError::bad_tls: return "the thread-local storage image is malformed";
        case ElfError::bad_relro: return "the relocated read-only range is malformed";
        case ElfError::bad_dynamic: return "the dynamic section is malformed";
        case ElfError::unsupported_relocation: return "a kind of relocation is not supported";
        case ElfError::bad_relocation_table: return "the relocation table is malformed";
        case ElfError::bad_relocation: return "a relocation is unaligned or not in writable memory";
    }
    return "unknown error";
}

}  // namespace annulus
