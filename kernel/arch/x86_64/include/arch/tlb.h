// SPDX-License-Identifier: MIT
// The loaded page table and the cached translations of the running CPU.
#pragma once

#include "arch/address.h"

namespace annulus::arch {

// Top-level table of the kernel alone: what a CPU without a process runs on.
PhysicalAddress kernel_page_table();

inline PhysicalAddress loaded_page_table() {
    uint64_t value;
    asm volatile("movq %%cr3, %0" : "=r"(value));
    return value & ~uint64_t{0xfff};
}

// Loads a top-level table and drops all cached user translations; kernel pages are global and stay.
inline void load_page_table(PhysicalAddress root) {
    asm volatile("movq %0, %%cr3" ::"r"(root) : "memory");
}

// Drops one page's translation, of any size, on this CPU.
inline void invalidate_page(uint64_t address) {
    asm volatile("invlpg (%0)" ::"r"(address) : "memory");
}

// Drops all user translations on this CPU.
inline void invalidate_user_pages() { load_page_table(loaded_page_table()); }

}  // namespace annulus::arch
