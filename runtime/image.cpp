// SPDX-License-Identifier: MIT
// Relocation of this program's own image, and its thread-local storage.
//
// The loader checked the image before it ran (base/elf.h), so nothing is checked here. Formats:
// System V gABI chapters 4 and 5, x86-64 psABI 4.4 and its TLS supplement.

#include "runtime/image.h"

#include "abi/limits.h"
#include "base/align.h"

#include <string.h>

namespace annulus {
namespace {

struct FileHeader {
    uint8_t identification[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, program_headers, section_headers;
    uint32_t flags;
    uint16_t size, program_header_size, program_header_count;
};

struct ProgramHeader {
    uint32_t type, flags;
    uint64_t offset, address, physical, file_size, memory_size, alignment;
};
constexpr uint32_t segment_tls = 7;                 // PT_TLS
constexpr uint32_t segment_gnu_relro = 0x6474e552;  // PT_GNU_RELRO

struct DynamicEntry {
    uint64_t tag, value;
};
constexpr uint64_t tag_end = 0;
constexpr uint64_t tag_relocations = 7;       // DT_RELA
constexpr uint64_t tag_relocations_size = 8;  // DT_RELASZ

struct Relocation {
    uint64_t offset, information, addend;
};
constexpr uint64_t relocation_relative = 8;  // R_X86_64_RELATIVE

}  // namespace

// Made by the linker; their addresses are taken relative to the instruction pointer.
extern "C" [[gnu::visibility("hidden")]] const FileHeader __ehdr_start;
extern "C" [[gnu::visibility("hidden")]] const DynamicEntry _DYNAMIC[];

namespace {

// Safety: the image lies at its load address in one piece, as the linker laid it out.
uint64_t load_address() { return reinterpret_cast<uint64_t>(&__ehdr_start); }

const ProgramHeader* find_segment(uint32_t type) {
    const auto* headers =
        reinterpret_cast<const ProgramHeader*>(load_address() + __ehdr_start.program_headers);
    for (unsigned i = 0; i < __ehdr_start.program_header_count; ++i) {
        if (headers[i].type == type) return &headers[i];
    }
    return nullptr;
}

// How far below the control block the variables begin: their size, and what their alignment adds.
uint64_t tls_distance(const ProgramHeader& tls) {
    const uint64_t alignment = tls.alignment == 0 ? 1 : tls.alignment;
    return tls.memory_size + ((0 - tls.address - tls.memory_size) & (alignment - 1));
}

}  // namespace

uint64_t annulus_thread_storage_size() {
    const ProgramHeader* tls = find_segment(segment_tls);
    return tls == nullptr ? 0 : align_up(tls_distance(*tls), sizeof(ThreadControl));
}

void prepare_thread_storage(ThreadControl* control) {
    *control = {.self = control, .reserved = {}};
    const ProgramHeader* tls = find_segment(segment_tls);
    if (tls == nullptr) return;
    // Safety: annulus_thread_storage_size bytes below the control block belong to the thread.
    auto* begin = reinterpret_cast<char*>(control) - tls_distance(*tls);
    memcpy(begin, reinterpret_cast<const void*>(load_address() + tls->address), tls->file_size);
    memset(begin + tls->file_size, 0, tls->memory_size - tls->file_size);
}

void relocate_image() {
    const uint64_t base = load_address();
    uint64_t table = 0;
    uint64_t size = 0;
    for (const DynamicEntry* entry = _DYNAMIC; entry->tag != tag_end; ++entry) {
        if (entry->tag == tag_relocations) table = entry->value;
        if (entry->tag == tag_relocations_size) size = entry->value;
    }
    const auto* relocations = reinterpret_cast<const Relocation*>(base + table);
    for (uint64_t i = 0; i < size / sizeof(Relocation); ++i) {
        const Relocation& relocation = relocations[i];
        if (relocation.information != relocation_relative) __builtin_trap();
        auto* place = reinterpret_cast<uint64_t*>(base + relocation.offset);
        const uint64_t value = base + relocation.addend;
        if (*place != value) *place = value;
    }
}

ImageRange relocated_pages() {
    const ProgramHeader* relro = find_segment(segment_gnu_relro);
    if (relro == nullptr) return {0, 0};
    // The linker pads it to whole pages; a rest that shares a page with other data stays writable.
    const uint64_t end = align_down(relro->address + relro->memory_size, abi::page_size);
    const uint64_t begin = align_up(relro->address, abi::page_size);
    return {load_address() + begin, end > begin ? end - begin : 0};
}

}  // namespace annulus
