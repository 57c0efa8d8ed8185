// SPDX-License-Identifier: MIT
// The kernel's one page allocator and one object heap, and pages for its arrays.
#pragma once

#include "kernel/boot_info.h"
#include "kernel/memory/object_heap.h"
#include "kernel/memory/page_allocator.h"

namespace annulus::kernel {

PageAllocator& page_allocator();
ObjectHeap& object_heap();

// Pages that the kernel took at boot for ever: its image, boot-time tables, the page frame table.
uint64_t kernel_static_pages();

// Called once, before anything is allocated. Panics when the machine has too little memory.
void init_kernel_memory(const BootInfo& info);

}  // namespace annulus::kernel
