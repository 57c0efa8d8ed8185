// SPDX-License-Identifier: MIT
// The kernel's memory on the host: the allocators that a test made, and pages of tables from them.
#include "kernel/memory/table_pages.h"

#include "kernel/memory/kernel_memory.h"
#include "kernel/object/budget.h"

#include <string.h>

namespace annulus::kernel {

PageAllocator* the_page_allocator = nullptr;
ObjectHeap* the_object_heap = nullptr;

Result<void*> allocate_table_pages(Budget& budget, uint64_t pages, TableContent content) {
    const uint32_t order = PageAllocator::order_for(pages);
    TRY(budget.charge(abi::Resource::pages, uint64_t{1} << order));
    auto block = page_allocator().allocate(order);
    if (!block.ok()) {
        budget.uncharge(abi::Resource::pages, uint64_t{1} << order);
        return block.status();
    }
    std::byte* bytes = page_allocator().pointer(*block);
    // What nobody promised to be zero is not.
    const int fill = content == TableContent::zeroed ? 0 : 0xa5;
    memset(bytes, fill, abi::page_size << order);
    return static_cast<void*>(bytes);
}

void free_table_pages(Budget& budget, void* storage, uint64_t pages) {
    const uint32_t order = PageAllocator::order_for(pages);
    page_allocator().free(page_allocator().page_of(storage), order);
    budget.uncharge(abi::Resource::pages, uint64_t{1} << order);
}

}  // namespace annulus::kernel
