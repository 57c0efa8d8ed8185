// SPDX-License-Identifier: MIT
// The kernel's own page tables.
#include "kernel/arch/x86_64/memory/kernel_map.h"

#include "arch/cpu.h"
#include "arch/page_table.h"
#include "arch/smp.h"
#include "arch/tlb.h"
#include "kernel/panic.h"

#include <string.h>

#include <algorithm>

// Placed by the linker script.
extern "C" const char kernel_load_begin[], kernel_load_end[], kernel_text_begin[],
    kernel_text_end[], kernel_rodata_end[], kernel_data_begin[], kernel_image_end[];
// The boot page tables' root (boot/pvh_entry.S), and three tables behind it.
extern "C" uint64_t early_level4[];

namespace annulus::arch {

namespace {

// What the boot page tables reach; all pages taken at boot lie below.
constexpr uint64_t early_limit = uint64_t{4} << 30;

// One CPU's part of the stack region: unmapped pages and stacks in turn, in pages.
constexpr uint64_t stack_area_size = 64 * 1024;
constexpr uint64_t own_stack_pages = 2, kernel_stack_pages = 4;
constexpr uint64_t non_maskable_first = 1, double_fault_first = 4, machine_check_first = 7;
constexpr uint64_t kernel_stack_first = 12;
static_assert((kernel_stack_first + kernel_stack_pages) * page_size == stack_area_size);

constexpr PageFlags kernel_read = PageFlags::read | PageFlags::global;
constexpr PageFlags kernel_write = kernel_read | PageFlags::write;
constexpr PageFlags kernel_code = kernel_read | PageFlags::execute;

uint64_t address_of(const char* symbol) { return reinterpret_cast<uint64_t>(symbol); }

// Tables and stacks come from the memory map, as nothing else exists yet.
class BootMemory {
public:
    void set_source(RangeList* usable) { usable_ = usable; }
    uint64_t pages_taken() const { return pages_taken_; }

    uint64_t* entries(PhysicalAddress table) { return physical_to_pointer<uint64_t>(table); }
    Result<PhysicalAddress> allocate_table() { return take_page(); }
    void free_table(PhysicalAddress) {}  // boot tables are never freed

    PhysicalAddress take_page() {
        if (!usable_) kernel::panic("the kernel map is finished");
        const PhysicalRange page = usable_->take(page_size, early_limit);
        if (page.empty()) kernel::panic("no memory below 4 GiB for the kernel's page tables");
        // Safety: a page of RAM below early_limit that nobody else has.
        memset(physical_to_pointer(page.begin), 0, page_size);
        ++pages_taken_;
        return page.begin;
    }

private:
    RangeList* usable_ = nullptr;
    uint64_t pages_taken_ = 0;
};

constinit BootMemory boot_memory;
constinit PhysicalAddress kernel_root = 0;
constinit uint64_t device_pages = 0;

PageTable<BootMemory> kernel_table() { return {boot_memory, kernel_root}; }

void must_map(uint64_t address, PhysicalAddress physical, PageSize size, PageFlags flags) {
    const auto result = kernel_table().map(address, physical, size, flags);
    if (!result.ok()) kernel::panic("cannot map {x}: error {}", address, result.error());
}

// Maps a range with the largest pages that fit its alignment. Both addresses must agree modulo the
// page sizes that are to be used.
void map_range(uint64_t address, PhysicalRange range, PageFlags flags) {
    const auto fits = [&](PageSize size) {
        return ((range.begin | address) & (bytes_of(size) - 1)) == 0 &&
               range.size() >= bytes_of(size);
    };
    while (!range.empty()) {
        PageSize size = PageSize::small;
        if (cpu_features().huge_pages && fits(PageSize::huge)) {
            size = PageSize::huge;
        } else if (fits(PageSize::large)) {
            size = PageSize::large;
        }
        must_map(address, range.begin, size, flags);
        address += bytes_of(size);
        range.begin += bytes_of(size);
    }
}

void map_direct(PhysicalRange range, PageFlags flags) {
    if (!range.empty()) map_range(direct_map_begin + range.begin, range, flags);
}

// The kernel's code and constants are not writable through the direct map either.
void map_all_ram(const RangeList& ram) {
    const PhysicalRange constant{kernel_image_range().begin,
                                 address_of(kernel_data_begin) - kernel_image_offset};
    for (const PhysicalRange& range : ram.ranges()) {
        map_direct({range.begin, std::min(range.end, constant.begin)}, kernel_write);
        map_direct({std::max(range.begin, constant.begin), std::min(range.end, constant.end)},
                   kernel_read);
        map_direct({std::max(range.begin, constant.end), range.end}, kernel_write);
    }
}

void map_image_part(const char* begin, const char* end, PageFlags flags) {
    for (uint64_t at = address_of(begin); at < address_of(end); at += page_size) {
        must_map(at, at - kernel_image_offset, PageSize::small, flags);
    }
}

uint64_t map_stack(uint64_t area, uint64_t first_page, uint64_t pages) {
    for (uint64_t i = first_page; i < first_page + pages; ++i) {
        must_map(area + i * page_size, boot_memory.take_page(), PageSize::small, kernel_write);
    }
    return area + (first_page + pages) * page_size;
}

}  // namespace

PhysicalAddress kernel_page_table() { return kernel_root; }

PhysicalRange kernel_image_range() {
    return {address_of(kernel_load_begin), address_of(kernel_load_end)};
}

void make_kernel_map(const RangeList& ram, RangeList& usable) {
    boot_memory.set_source(&usable);
    kernel_root = boot_memory.take_page();
    map_all_ram(ram);
    map_image_part(kernel_text_begin, kernel_text_end, kernel_code);
    map_image_part(kernel_text_end, kernel_rodata_end, kernel_read);
    map_image_part(kernel_rodata_end, kernel_image_end, kernel_write);
    load_kernel_map();
}

void load_kernel_map() { load_page_table(kernel_root); }

volatile uint32_t* map_device_page(PhysicalAddress page) {
    const uint64_t address = device_window_begin + device_pages++ * page_size;
    must_map(address, page, PageSize::small, kernel_write | PageFlags::uncached);
    // Safety: mapped just now, for ever; volatile as device registers need it.
    return reinterpret_cast<volatile uint32_t*>(address);
}

CpuStacks map_cpu_stacks(unsigned cpu) {
    const uint64_t area = kernel_stacks_begin + cpu * stack_area_size;
    return {
        .kernel = map_stack(area, kernel_stack_first, kernel_stack_pages),
        .non_maskable = map_stack(area, non_maskable_first, own_stack_pages),
        .double_fault = map_stack(area, double_fault_first, own_stack_pages),
        .machine_check = map_stack(area, machine_check_first, own_stack_pages),
    };
}

uint64_t finish_kernel_map() {
    for (uint64_t at = address_of(kernel_rodata_end); at < address_of(kernel_data_begin);
         at += page_size) {
        const auto result = kernel_table().protect(at, kernel_read);
        if (!result.ok()) kernel::panic("cannot protect {x}", at);
        invalidate_page(at);
    }
    boot_memory.set_source(nullptr);
    return boot_memory.pages_taken();
}

PhysicalAddress make_start_map(PhysicalAddress page) {
    // The boot page tables' memory is reused: root, then one table a level.
    uint64_t* const tables = early_level4;
    memset(tables, 0, 4 * page_size);
    const auto* kernel_entries = physical_to_pointer<const uint64_t>(kernel_root);
    for (unsigned i = 256; i < 512; ++i) tables[i] = kernel_entries[i];
    for (unsigned level = 4; level > 1; --level) {
        uint64_t* table = tables + (4 - level) * 512;
        table[page_entry::index_of(page, level)] =
            pointer_to_physical(table + 512) | page_entry::present | page_entry::write;
    }
    tables[3 * 512 + page_entry::index_of(page, 1)] = page | page_entry::present;
    return pointer_to_physical(tables);
}

}  // namespace annulus::arch
