// SPDX-License-Identifier: MIT
// Finding and copying ACPI tables.
#include "kernel/arch/x86_64/firmware/acpi_tables.h"

#include "abi/firmware.h"
#include "base/align.h"

namespace annulus::arch {

namespace {

constexpr uint64_t table_size_max = 16 * 1024 * 1024;
constexpr uint64_t table_alignment = 8;

bool sums_to_zero(AcpiBytes bytes) {
    uint8_t sum = 0;
    for (const std::byte b : bytes) sum = static_cast<uint8_t>(sum + static_cast<uint8_t>(b));
    return sum == 0;
}

// The tables' addresses, each once: what the root lists, and the byte code behind the FADT.
class TableList {
public:
    TableList(const PhysicalWindow& window, PhysicalAddress rsdp) {
        const AcpiRoot root(window, rsdp);
        for (size_t i = 0; i < root.count(); ++i) {
            const PhysicalAddress address = root.address(i);
            const AcpiBytes table = acpi_table_at(window, address);
            add(address, table);
            if (!acpi_starts_with(table, "FACP")) continue;
            const PhysicalAddress code = acpi_code_address(table);
            add(code, acpi_table_at(window, code));
        }
    }

    struct Entry {
        PhysicalAddress address;
        AcpiBytes table;
    };
    std::span<const Entry> entries() const { return {entries_, count_}; }
    uint64_t header_bytes() const {
        return sizeof(abi::FirmwareHeader) + count_ * sizeof(abi::FirmwareTable);
    }
    uint64_t bytes() const { return header_bytes() + table_bytes_; }

private:
    void add(PhysicalAddress address, AcpiBytes table) {
        if (table.empty() || count_ == copied_tables_max) return;
        for (const Entry& earlier : entries()) {
            if (earlier.address == address) return;
        }
        const uint64_t more = align_up(table.size(), table_alignment);
        if (more > copied_bytes_max - table_bytes_) return;
        table_bytes_ += more;
        entries_[count_++] = {address, table};
    }

    Entry entries_[copied_tables_max];
    uint32_t count_ = 0;
    uint64_t table_bytes_ = 0;
};

}  // namespace

bool acpi_starts_with(AcpiBytes bytes, std::string_view text) {
    if (bytes.size() < text.size()) return false;
    for (size_t i = 0; i < text.size(); ++i) {
        if (static_cast<char>(bytes[i]) != text[i]) return false;
    }
    return true;
}

AcpiBytes acpi_table_at(const PhysicalWindow& window, PhysicalAddress address) {
    const AcpiBytes header = window.at(address, acpi_header_size);
    if (header.empty()) return {};
    const auto length = acpi_field<uint32_t>(header, 4);
    if (length < acpi_header_size || length > table_size_max) return {};
    const AcpiBytes table = window.at(address, length);
    return sums_to_zero(table) ? table : AcpiBytes{};
}

PhysicalAddress acpi_code_address(AcpiBytes fadt) {
    const auto wide = acpi_field<uint64_t>(fadt, 140);
    return wide != 0 ? wide : acpi_field<uint32_t>(fadt, 40);
}

AcpiRoot::AcpiRoot(const PhysicalWindow& window, PhysicalAddress rsdp) {
    constexpr size_t old_size = 20, new_size = 36;
    if (rsdp == 0) return;
    const AcpiBytes old = window.at(rsdp, old_size);
    if (!acpi_starts_with(old, "RSD PTR ") || !sums_to_zero(old)) return;
    const AcpiBytes full = window.at(rsdp, new_size);
    if (acpi_field<uint8_t>(old, 15) >= 2 && !full.empty() && sums_to_zero(full)) {
        bytes_ = acpi_table_at(window, acpi_field<uint64_t>(full, 24));
        if (acpi_starts_with(bytes_, "XSDT")) {
            pointer_size_ = 8;
            return;
        }
    }
    bytes_ = acpi_table_at(window, acpi_field<uint32_t>(old, 16));
    if (acpi_starts_with(bytes_, "RSDT")) pointer_size_ = 4;
}

uint64_t copy_acpi_tables(const PhysicalWindow& window, PhysicalAddress rsdp,
                          std::span<std::byte> to) {
    const TableList list(window, rsdp);
    if (to.size() < list.bytes()) return list.bytes();
    const abi::FirmwareHeader header{abi::firmware_version,
                                     static_cast<uint32_t>(list.entries().size()), list.bytes()};
    __builtin_memcpy(to.data(), &header, sizeof(header));
    size_t entry_at = sizeof(header);
    uint64_t table_at = list.header_bytes();
    for (const auto& [address, table] : list.entries()) {
        abi::FirmwareTable entry{address, table_at, static_cast<uint32_t>(table.size()), {}};
        __builtin_memcpy(entry.signature, table.data(), sizeof(entry.signature));
        __builtin_memcpy(to.data() + entry_at, &entry, sizeof(entry));
        __builtin_memcpy(to.data() + table_at, table.data(), table.size());
        entry_at += sizeof(entry);
        table_at += align_up(table.size(), table_alignment);
    }
    return list.bytes();
}

}  // namespace annulus::arch
