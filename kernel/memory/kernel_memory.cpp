// SPDX-License-Identifier: MIT
// The kernel's memory at boot, and contiguous pages for its arrays.
#include "kernel/memory/kernel_memory.h"

#include "arch/address.h"
#include "arch/cpu.h"
#include "kernel/memory/table_pages.h"
#include "kernel/object/budget.h"
#include "kernel/panic.h"

namespace annulus::kernel {

namespace {

constinit PageAllocator machine_pages;
constinit ObjectHeap machine_heap;
constinit uint64_t static_pages = 0;

}  // namespace

constinit PageAllocator* the_page_allocator = &machine_pages;
constinit ObjectHeap* the_object_heap = &machine_heap;

uint64_t kernel_static_pages() { return static_pages; }

void init_kernel_memory(const BootInfo& info) {
    auto table = PageAllocator::choose_frame_table(info.usable);
    if (!table.ok()) panic("no memory range holds the table of page frames");
    const auto ready =
        machine_pages.init(info.usable, *table, arch::physical_to_pointer<std::byte>(0));
    if (!ready.ok()) panic("the memory map is not usable: error {}", ready.status().bits);
    static_pages = info.kernel_static_pages + table->size() / abi::page_size;
    machine_heap.init(machine_pages, arch::read_random());
}

Result<void*> allocate_table_pages(Budget& budget, uint64_t pages, TableContent content) {
    const uint32_t order = PageAllocator::order_for(pages);
    if (order > PageAllocator::max_order) return Error::limit;
    // Blocks are powers of two: what is rounded up is paid, too.
    TRY(budget.charge(abi::Resource::pages, uint64_t{1} << order));
    auto block = machine_pages.allocate(order);
    if (!block.ok()) {
        budget.uncharge(abi::Resource::pages, uint64_t{1} << order);
        return block.status();
    }
    std::byte* bytes = machine_pages.pointer(*block);
    if (content == TableContent::zeroed) __builtin_memset(bytes, 0, abi::page_size << order);
    return static_cast<void*>(bytes);
}

void free_table_pages(Budget& budget, void* storage, uint64_t pages) {
    const uint32_t order = PageAllocator::order_for(pages);
    machine_pages.free(machine_pages.page_of(storage), order);
    budget.uncharge(abi::Resource::pages, uint64_t{1} << order);
}

}  // namespace annulus::kernel
