// SPDX-License-Identifier: MIT
// What a PVH loader passes: layout from Xen's public interface
// (xen/include/public/arch-x86/hvm/start_info.h).
#pragma once

#include <stdint.h>

namespace annulus::arch {

inline constexpr uint32_t hvm_start_magic = 0x336ec578;

struct HvmStartInfo {
    uint32_t magic;
    uint32_t version;  // 1 and up have the memory map
    uint32_t flags;
    uint32_t module_count;
    uint64_t modules;       // physical addresses, here and below
    uint64_t command_line;  // NUL-terminated, or 0
    uint64_t rsdp;
    uint64_t memory_map;
    uint32_t memory_map_entries;
    uint32_t reserved;
};
static_assert(sizeof(HvmStartInfo) == 56);

struct HvmModule {
    uint64_t address;
    uint64_t size;
    uint64_t command_line;
    uint64_t reserved;
};
static_assert(sizeof(HvmModule) == 32);

struct HvmMapEntry {
    uint64_t address;
    uint64_t size;
    uint32_t type;  // 1 is RAM
    uint32_t reserved;
};
static_assert(sizeof(HvmMapEntry) == 24);

inline constexpr uint32_t hvm_map_type_ram = 1;

}  // namespace annulus::arch
