// SPDX-License-Identifier: MIT
// The host's stand-in for the loaded page table and cached translations: tests say what they are.
#pragma once

#include "arch/address.h"

namespace annulus::arch {

// Hook: the page table whose upper half new ones share.
PhysicalAddress kernel_page_table();

// Hook: drops one page's cached translation on the CPU that runs the test.
void invalidate_page(uint64_t address);
// Hook: all of them.
void invalidate_user_pages();

}  // namespace annulus::arch
