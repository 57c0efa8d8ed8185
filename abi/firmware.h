// SPDX-License-Identifier: MIT
// The firmware tables' memory, which the first process is handed as `firmware`, read-only.
//
//   FirmwareHeader
//   FirmwareTable[table_count]    in the order in which the firmware's root table lists them
//   the tables' bytes             each at FirmwareTable::offset, a multiple of 8
//
// On x86-64 these are the ACPI tables. They are copies that the kernel made at boot: the firmware's
// own may lie anywhere, also beside things that no program may see. A table is here only if its
// length and its checksum are right; what it says may still be anything.
#pragma once

#include <stdint.h>

namespace annulus::abi {

inline constexpr uint32_t firmware_version = 1;

struct FirmwareHeader {
    uint32_t version;      // firmware_version
    uint32_t table_count;  // 0 without firmware tables
    uint64_t size;         // of everything, in bytes
};

struct FirmwareTable {
    uint64_t address;  // physical, of the firmware's own; for pointers between tables
    uint64_t offset;   // of the copy, in bytes from the header
    uint32_t length;   // in bytes
    char signature[4];
};

}  // namespace annulus::abi
