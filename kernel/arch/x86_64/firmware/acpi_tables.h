// SPDX-License-Identifier: MIT
// Finding the firmware's ACPI tables. Structures and offsets: ACPI specification 6.4, chapter 5.2.
//
// No hardware access. Every length is checked against the window and every table's checksum is
// verified; a table that fails is as good as absent.
#pragma once

#include "arch/address.h"
#include "boot/start_info.h"

#include <stddef.h>
#include <stdint.h>

#include <cstddef>
#include <span>
#include <string_view>

namespace annulus::arch {

using AcpiBytes = std::span<const std::byte>;

inline constexpr size_t acpi_header_size = 36;

// Little-endian value at an offset; 0 beyond the end, which every field here defines as "none".
template <typename T>
T acpi_field(AcpiBytes bytes, size_t offset) {
    T value{};
    if (offset <= bytes.size() && bytes.size() - offset >= sizeof(T)) {
        __builtin_memcpy(&value, bytes.data() + offset, sizeof(T));
    }
    return value;
}

bool acpi_starts_with(AcpiBytes bytes, std::string_view text);

// A whole table with a valid length and checksum, or nothing.
AcpiBytes acpi_table_at(const PhysicalWindow& window, PhysicalAddress address);

// Where the table that a FADT points to lies: the byte code.
PhysicalAddress acpi_code_address(AcpiBytes fadt);

// The table of tables: 64-bit pointers since revision 2, 32-bit ones before.
class AcpiRoot {
public:
    // `valid()` is false when there is no root table.
    AcpiRoot(const PhysicalWindow& window, PhysicalAddress rsdp);

    bool valid() const { return pointer_size_ != 0; }
    size_t count() const {
        return valid() ? (bytes_.size() - acpi_header_size) / pointer_size_ : 0;
    }
    // The physical address of a table, index below count(). Nothing says what lies there.
    PhysicalAddress address(size_t index) const {
        const size_t at = acpi_header_size + index * pointer_size_;
        return pointer_size_ == 8 ? acpi_field<uint64_t>(bytes_, at)
                                  : acpi_field<uint32_t>(bytes_, at);
    }

private:
    AcpiBytes bytes_;
    size_t pointer_size_ = 0;
};

// What copy_acpi_tables makes of a machine's tables at most; what does not fit is left out.
inline constexpr uint32_t copied_tables_max = 128;
inline constexpr uint64_t copied_bytes_max = 4 * 1024 * 1024;

// Copies all tables into `to` in the form of abi/firmware.h, or only counts when `to` is empty.
// Returns the bytes that it takes. `to` has that many, and the tables have not changed meanwhile.
uint64_t copy_acpi_tables(const PhysicalWindow& window, PhysicalAddress rsdp,
                          std::span<std::byte> to);

}  // namespace annulus::arch
