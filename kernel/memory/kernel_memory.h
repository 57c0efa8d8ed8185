// SPDX-License-Identifier: MIT
// The kernel's one page allocator and one object heap, and pages for its arrays.
#pragma once

#include "kernel/boot_info.h"
#include "kernel/memory/object_heap.h"
#include "kernel/memory/page_allocator.h"

namespace annulus::kernel {

// Hooks, set once: the machine's own; a test's.
extern PageAllocator* the_page_allocator;
extern ObjectHeap* the_object_heap;

inline PageAllocator& page_allocator() { return *the_page_allocator; }
inline ObjectHeap& object_heap() { return *the_object_heap; }

// Pages that the kernel took at boot for ever: its image, boot-time tables, the page frame table.
uint64_t kernel_static_pages();

// Called once, before anything is allocated. Panics when the machine has too little memory.
void init_kernel_memory(const BootInfo& info);

}  // namespace annulus::kernel
