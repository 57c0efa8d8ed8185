// SPDX-License-Identifier: MIT
// From the boot code to kernel_main: turns the machine, step by step, into what the portable kernel
// is promised.
#include "arch/clock.h"
#include "arch/cpu.h"
#include "arch/cpu_local.h"
#include "arch/interrupts.h"
#include "arch/vector_state.h"
#include "base/align.h"
#include "boot/start_info.h"
#include "kernel/arch/x86_64/cpu/clock.h"
#include "kernel/arch/x86_64/cpu/features.h"
#include "kernel/arch/x86_64/cpu/smp.h"
#include "kernel/arch/x86_64/debug/stop.h"
#include "kernel/arch/x86_64/firmware/acpi_tables.h"
#include "kernel/arch/x86_64/firmware/machine.h"
#include "kernel/arch/x86_64/interrupt/io_apic.h"
#include "kernel/arch/x86_64/interrupt/local_apic.h"
#include "kernel/arch/x86_64/memory/kernel_map.h"
#include "kernel/arch/x86_64/trap/descriptors.h"
#include "kernel/log.h"
#include "kernel/panic.h"

#include <array>

// Called by boot/pvh_entry.S with the physical address of the loader's information.
extern "C" [[noreturn]] void arch_start(uint64_t start_info_address);

namespace annulus::arch {

namespace {

// What the boot page tables map of physical memory.
constexpr uint64_t early_window_size = uint64_t{4} << 30;
// Never given away: real-mode structures, and the page where CPUs start.
constexpr PhysicalRange low_memory{0, 1024 * 1024};

// Stacks for traps while the kernel has no map of its own; none of them ever returns.
alignas(16) constinit std::array<char, 4096> early_trap_stack{};

constinit StartInfo start_info{};
constinit RangeList usable{};
constinit kernel::BootInfo boot_info{};
constinit PhysicalRange firmware_copy{};

uint64_t usable_limit() {
    const uint32_t bits = cpu_features().physical_bits;
    return bits >= 46 ? direct_map_size : uint64_t{1} << bits;
}

void prepare_cpu() {
    make_interrupt_table();
    const auto top = reinterpret_cast<uint64_t>(early_trap_stack.data()) + early_trap_stack.size();
    load_descriptors(*kernel_cpu_area(0), 0, {top, top, top, top});
    detect_cpu_features();
    patch_smap_instructions();
    enable_cpu_features();
}

// The firmware's tables may lie beside anything, in memory that is never mapped again; programs get
// a copy.
void copy_firmware_tables(const PhysicalWindow& window) {
    const uint64_t size = copy_acpi_tables(window, start_info.rsdp, {});
    firmware_copy = usable.take(align_up(size, page_size), early_window_size);
    if (firmware_copy.empty()) return kernel::log("boot: no memory for the firmware's tables");
    // Safety: the pages were just taken from RAM that the boot page tables map.
    const std::span to(physical_to_pointer<std::byte>(firmware_copy.begin), firmware_copy.size());
    __builtin_memset(to.data(), 0, to.size());
    copy_acpi_tables(window, start_info.rsdp, to);
}

void read_boot_information(uint64_t address) {
    // Safety: the boot page tables map this much of the direct map.
    const PhysicalWindow window(physical_to_pointer<const std::byte>(0), early_window_size);
    const StartProblem problem =
        read_start_info(window, address, kernel_image_range(), usable_limit(), start_info);
    if (problem != StartProblem::none) kernel::panic("boot: {}", describe(problem));
    if (start_info.module_count > 1) kernel::log("boot: modules after the first are ignored");
    read_machine(window, start_info.rsdp);
    usable = start_info.map.ram;
    usable.subtract(low_memory);
    usable.subtract(kernel_image_range());
    usable.subtract(widen_to_pages(start_info.archive));
    copy_firmware_tables(window);
}

void start_interrupts(const CpuStacks& stacks) {
    const AcpiInfo& acpi = acpi_info();
    silence_old_interrupt_controllers();
    find_local_apic(acpi.local_apic);
    const uint32_t apic_id = start_local_apic();
    this_cpu().apic_id = apic_id;
    start_io_apics(acpi);
    map_machine_registers();
    prepare_other_cpus(acpi, start_info.map.ram, apic_id, stacks);
}

void fill_boot_info(uint64_t boot_pages) {
    boot_info.usable = usable.ranges();
    boot_info.reserved = start_info.map.reserved.ranges();
    boot_info.kernel_image = kernel_image_range();
    boot_info.kernel_static_pages = kernel_image_range().size() / page_size + boot_pages;
    boot_info.archive = start_info.archive;
    boot_info.command_line = start_info.command_line();
    boot_info.firmware = firmware_copy;
}

// Runs on the CPU's final stack.
[[noreturn]] void enter_kernel() {
    start_clock(acpi_info());
    enable_timer();
    kernel::log("arch: {} MHz cycle counter, {} CPUs listed, {} interrupt lines",
                cycle_frequency() / 1'000'000, acpi_info().cpu_count, interrupt_line_count());
    if (!cpu_features().invariant_tsc) {
        kernel::log("arch: the cycle counter may change its rate; times may be wrong");
    }
    kernel_main(boot_info);
}

[[noreturn]] void change_stack(uint64_t top, void (*next)()) {
    // Safety: `top` is the end of a mapped stack; nothing of the old one is used any more.
    asm volatile("movq %0, %%rsp; xorl %%ebp, %%ebp; callq *%1; ud2" ::"r"(top), "r"(next));
    __builtin_unreachable();
}

}  // namespace

}  // namespace annulus::arch

void arch_start(uint64_t start_info_address) {
    using namespace annulus;
    using namespace annulus::arch;
    console_init();
    prepare_cpu();
    read_boot_information(start_info_address);
    make_kernel_map(start_info.map.ram, usable);
    const CpuStacks stacks = map_cpu_stacks(0);
    load_descriptors(this_cpu(), 0, stacks);
    enable_system_calls();
    clear_vector_state();
    start_interrupts(stacks);
    fill_boot_info(finish_kernel_map());
    change_stack(stacks.kernel, enter_kernel);
}
