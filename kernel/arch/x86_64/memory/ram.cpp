// SPDX-License-Identifier: MIT
// Which physical addresses are RAM: those that the direct map shows.
#include "arch/page_table.h"
#include "arch/platform.h"
#include "arch/tlb.h"

namespace annulus::arch {

namespace {

// The bytes from a direct map address on that are certainly unmapped; 0: it is mapped.
uint64_t hole_at(uint64_t address) {
    PhysicalAddress table = kernel_page_table();
    for (unsigned level = 4; level > 0; --level) {
        // Safety: the kernel's tables lie in RAM and never change after boot.
        const auto* entries = physical_to_pointer<const uint64_t>(table);
        const uint64_t entry = page_entry::load(entries[page_entry::index_of(address, level)]);
        if (entry == 0) {
            const uint64_t span = uint64_t{1} << page_entry::shift_of(level);
            return span - (address & (span - 1));
        }
        if (page_entry::is_leaf(entry, level)) return 0;
        table = entry & page_entry::address_mask;
    }
    return 0;
}

}  // namespace

bool any_ram(const kernel::PhysicalRange& range) {
    for (PhysicalAddress at = range.begin & ~(page_size - 1); at < range.end;) {
        if (at >= direct_map_size) return false;
        const uint64_t hole = hole_at(direct_map_begin + at);
        if (hole == 0) return true;
        at += hole;
    }
    return false;
}

}  // namespace annulus::arch
