// SPDX-License-Identifier: MIT
// Names of the kernel's functions. The table: a u32 count; that many pairs {u32 offset from the
// kernel's text, u32 offset of the name in the table}, sorted; the names, NUL-terminated.
#include "kernel/arch/x86_64/debug/symbols.h"

extern "C" const char kernel_symbols_begin[], kernel_symbols_end[];
extern "C" const char kernel_text_begin[], kernel_text_end[];

namespace annulus::arch {

namespace {

struct Entry {
    uint32_t code_offset;
    uint32_t name_offset;
};

}  // namespace

Symbol find_symbol(uint64_t address) {
    const auto begin = reinterpret_cast<uint64_t>(kernel_text_begin);
    const auto end = reinterpret_cast<uint64_t>(kernel_text_end);
    const auto table_size = reinterpret_cast<uint64_t>(kernel_symbols_end) -
                            reinterpret_cast<uint64_t>(kernel_symbols_begin);
    if (address < begin || address >= end || table_size < sizeof(uint32_t)) return {};
    // Safety: the linker script aligns the table; tools/symbols.py makes it.
    const uint32_t count = *reinterpret_cast<const uint32_t*>(kernel_symbols_begin);
    const auto* entries = reinterpret_cast<const Entry*>(kernel_symbols_begin + sizeof(uint32_t));
    if (table_size < sizeof(uint32_t) + uint64_t{count} * sizeof(Entry)) return {};

    const uint64_t wanted = address - begin;
    uint32_t low = 0;
    uint32_t high = count;  // entries below `low` begin at or before `wanted`
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (entries[middle].code_offset <= wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) return {};
    const Entry& found = entries[low - 1];
    if (found.name_offset >= table_size) return {};
    return {kernel_symbols_begin + found.name_offset, wanted - found.code_offset};
}

}  // namespace annulus::arch
