// SPDX-License-Identifier: MIT
// The kernel's own page tables: built once at boot, never changed afterwards.
#pragma once

#include "arch/address.h"
#include "boot/memory_map.h"
#include "kernel/arch/x86_64/trap/descriptors.h"

#include <stdint.h>

namespace annulus::arch {

// Where the loader put the kernel, page aligned.
PhysicalRange kernel_image_range();

// Builds the map of `ram` and the kernel image and loads it. Pages for tables and stacks are taken
// from `usable` until finish_kernel_map(). Once, on the boot CPU, on the boot page tables.
void make_kernel_map(const RangeList& ram, RangeList& usable);

// Maps one page of device registers, uncached, and returns its address. Only before
// finish_kernel_map().
volatile uint32_t* map_device_page(PhysicalAddress page);

// Allocates and maps a CPU's stacks, each with an unmapped page below. Only before
// finish_kernel_map().
CpuStacks map_cpu_stacks(unsigned cpu);

// Write-protects what is constant after boot and ends the allocation of boot pages. Returns how
// many pages were taken.
uint64_t finish_kernel_map();

// Loads the kernel's page table on a CPU that just started.
void load_kernel_map();

// A top-level table that also maps one page below 1 MiB at its physical address, executable: for
// starting CPUs. Below 4 GiB.
PhysicalAddress make_start_map(PhysicalAddress page);

}  // namespace annulus::arch
