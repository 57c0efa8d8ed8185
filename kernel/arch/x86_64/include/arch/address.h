// SPDX-License-Identifier: MIT
// The kernel's address space: where RAM, devices, stacks and the kernel image are seen.
//
//   0000000000010000  user programs, up to abi::user_end
//   ffff800000000000  direct map: all RAM, at most 64 TiB, never executable
//   ffffff0000000000  device window: registers of interrupt controllers, uncached
//   ffffff4000000000  kernel stacks, one CPU every 64 KiB, with guard pages between them
//   ffffffff80200000  kernel image, loaded at 2 MiB
#pragma once

#include "abi/limits.h"

#include <stdint.h>

namespace annulus::arch {

using abi::page_size;
using PhysicalAddress = uint64_t;

inline constexpr uint64_t large_page_size = 2 * 1024 * 1024;
inline constexpr uint64_t huge_page_size = 1024 * 1024 * 1024;

inline constexpr uint64_t direct_map_begin = 0xffff800000000000;
inline constexpr uint64_t direct_map_size = uint64_t{64} << 40;
inline constexpr uint64_t device_window_begin = 0xffffff0000000000;
inline constexpr uint64_t kernel_stacks_begin = 0xffffff4000000000;
inline constexpr uint64_t kernel_image_offset = 0xffffffff80000000;  // virtual minus physical

// The direct map's view of RAM. Valid for RAM only; nothing is checked.
template <typename T = void>
T* physical_to_pointer(PhysicalAddress address) {
    // Safety: the direct map covers all RAM from before kernel_main and never changes.
    return reinterpret_cast<T*>(direct_map_begin + address);
}

// The physical address of a pointer into the direct map or the kernel image.
inline PhysicalAddress pointer_to_physical(const volatile void* pointer) {
    const auto address = reinterpret_cast<uint64_t>(pointer);
    return address >= kernel_image_offset ? address - kernel_image_offset
                                          : address - direct_map_begin;
}

}  // namespace annulus::arch
