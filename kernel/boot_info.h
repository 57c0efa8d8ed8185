// SPDX-License-Identifier: MIT
// What the boot code tells the portable kernel about the machine: memory, archive, command line.
#pragma once

#include <stdint.h>

#include <span>
#include <string_view>

namespace annulus::kernel {

// A run of physical addresses [begin, end).
struct PhysicalRange {
    uint64_t begin = 0;
    uint64_t end = 0;

    constexpr uint64_t size() const { return end - begin; }
    constexpr bool empty() const { return begin >= end; }
    constexpr bool contains(const PhysicalRange& other) const {
        return begin <= other.begin && other.end <= end;
    }
    constexpr bool overlaps(const PhysicalRange& other) const {
        return begin < other.end && other.begin < end;
    }
    constexpr bool operator==(const PhysicalRange&) const = default;
};

// Everything here is checked: whoever reads it need not doubt it. Lives for ever, never changes.
struct BootInfo {
    // RAM that nobody uses yet: sorted, disjoint, never adjacent, page aligned, in the direct map.
    // The kernel image, the archive, the firmware tables' copy, boot-time allocations and the first
    // MiB are already cut out.
    std::span<const PhysicalRange> usable;
    // What the firmware describes as anything but RAM, as it was given: sorted, page aligned
    // outwards, may overlap each other, never overlaps `usable`. Not in the direct map.
    std::span<const PhysicalRange> reserved;
    // The kernel's code and static data, including page tables and stacks allocated at boot.
    uint64_t kernel_static_pages = 0;
    PhysicalRange kernel_image;
    // The boot archive, byte exact; empty when none was given. Its pages lie in the direct map.
    PhysicalRange archive;
    // A copy of the firmware's tables (abi/firmware.h), whole pages in the direct map; empty when
    // there was no memory for it.
    PhysicalRange firmware;
    std::string_view command_line;
};

}  // namespace annulus::kernel

// The portable kernel's entry, called once on the boot CPU: interrupts off, on its own kernel
// stack, GS base at kernel_cpu_area(0), clock, timer and interrupt controllers ready.
extern "C" [[noreturn]] void kernel_main(const annulus::kernel::BootInfo& info);

// The entry of every other CPU, in the same state, once arch::start_other_cpus() starts it.
extern "C" [[noreturn]] void kernel_cpu_main(unsigned index);
