// SPDX-License-Identifier: MIT
// What the kernel needs of the ACPI tables. Structures and offsets: ACPI specification 6.4,
// chapter 5.2.
#include "kernel/arch/x86_64/firmware/acpi.h"

#include "kernel/arch/x86_64/firmware/acpi_tables.h"

namespace annulus::arch {

namespace {

using Bytes = AcpiBytes;

void add_cpu(AcpiInfo& info, uint32_t apic_id, uint32_t flags) {
    constexpr uint32_t enabled = 1;
    if (!(flags & enabled) || info.cpu_count == acpi_cpus_max) return;
    for (uint32_t i = 0; i < info.cpu_count; ++i) {
        if (info.cpus[i] == apic_id) return;
    }
    info.cpus[info.cpu_count++] = apic_id;
}

void add_override(AcpiInfo& info, Bytes entry) {
    const auto irq = acpi_field<uint8_t>(entry, 3);
    if (irq >= isa_interrupts) return;
    const auto flags = acpi_field<uint16_t>(entry, 8);
    info.isa[irq] = {
        .gsi = acpi_field<uint32_t>(entry, 4),
        .trigger = (flags >> 2 & 3) == 3 ? Trigger::level : Trigger::edge,
        .polarity = (flags & 3) == 3 ? Polarity::low : Polarity::high,
    };
}

void read_madt_entry(AcpiInfo& info, Bytes entry) {
    switch (acpi_field<uint8_t>(entry, 0)) {
        case 0: return add_cpu(info, acpi_field<uint8_t>(entry, 3), acpi_field<uint32_t>(entry, 4));
        case 1:
            if (info.io_apic_count == io_apics_max || entry.size() < 12) return;
            info.io_apics[info.io_apic_count++] = {acpi_field<uint32_t>(entry, 4),
                                                   acpi_field<uint32_t>(entry, 8)};
            return;
        case 2:
            if (entry.size() >= 10) add_override(info, entry);
            return;
        case 5:
            if (entry.size() >= 12) info.local_apic = acpi_field<uint64_t>(entry, 4);
            return;
        case 9:
            return add_cpu(info, acpi_field<uint32_t>(entry, 4), acpi_field<uint32_t>(entry, 8));
        default: return;
    }
}

void read_madt(AcpiInfo& info, Bytes table) {
    constexpr size_t entries_offset = 44;
    if (table.size() < entries_offset) return;
    info.has_madt = true;
    info.local_apic = acpi_field<uint32_t>(table, 36);
    size_t at = entries_offset;
    while (table.size() - at >= 2) {
        const auto length = acpi_field<uint8_t>(table, at + 1);
        if (length < 2 || length > table.size() - at) return;
        read_madt_entry(info, table.subspan(at, length));
        at += length;
    }
}

AcpiRegister register_at(Bytes table, size_t offset) {
    const auto space = acpi_field<uint8_t>(table, offset);
    return {space <= 1 ? static_cast<AcpiRegister::Space>(space) : AcpiRegister::Space::other,
            acpi_field<uint64_t>(table, offset + 4)};
}

// A small integer in AML: ZeroOp, OneOp or BytePrefix (ACPI 6.4, 20.2.3). Moves `at` behind it.
bool read_aml_byte(Bytes code, size_t& at, uint8_t& value) {
    constexpr uint8_t byte_prefix = 0x0a;
    const auto first = acpi_field<uint8_t>(code, at++);
    value = first == byte_prefix ? acpi_field<uint8_t>(code, at++) : first;
    return (first == byte_prefix || first <= 1) && at <= code.size();
}

// Looks for  Name (_S5_, Package () {off_a, off_b, ...})  in the byte code.
void find_off_state(AcpiInfo& info, Bytes code) {
    constexpr uint8_t package_op = 0x12;
    for (size_t i = 0; i + 4 <= code.size(); ++i) {
        if (!acpi_starts_with(code.subspan(i), "_S5_")) continue;
        size_t at = i + 4;
        if (acpi_field<uint8_t>(code, at++) != package_op) continue;
        // The package's length takes 1 to 4 bytes; the first says how many follow (20.2.4).
        at += 1 + (acpi_field<uint8_t>(code, at) >> 6);
        ++at;  // the number of elements
        uint8_t a = 0;
        uint8_t b = 0;
        if (!read_aml_byte(code, at, a) || !read_aml_byte(code, at, b)) continue;
        info.has_off_state = true;
        info.off_a = a & 7;
        info.off_b = b & 7;
        return;
    }
}

void read_fadt(const PhysicalWindow& window, AcpiInfo& info, Bytes table) {
    constexpr uint32_t flag_hardware_reduced = 1u << 20, flag_reset = 1u << 10;
    info.has_fadt = true;
    const auto flags = acpi_field<uint32_t>(table, 112);
    info.hardware_reduced = (flags & flag_hardware_reduced) != 0;
    if (!info.hardware_reduced) {
        info.timer_port = static_cast<uint16_t>(acpi_field<uint32_t>(table, 76));
        info.control_a = static_cast<uint16_t>(acpi_field<uint32_t>(table, 64));
        info.control_b = static_cast<uint16_t>(acpi_field<uint32_t>(table, 68));
    }
    info.century_index = acpi_field<uint8_t>(table, 108);
    if (flags & flag_reset) {
        info.reset = register_at(table, 116);
        info.reset_value = acpi_field<uint8_t>(table, 128);
    }
    info.sleep_control = register_at(table, 244);
    const Bytes code = acpi_table_at(window, acpi_code_address(table));
    if (acpi_starts_with(code, "DSDT")) find_off_state(info, code.subspan(acpi_header_size));
}

void read_mcfg(AcpiInfo& info, Bytes table) {
    constexpr size_t first_entry = 44, entry_size = 16;
    if (info.pci.base != 0 || table.size() < first_entry + entry_size) return;
    info.pci = {
        .base = acpi_field<uint64_t>(table, first_entry),
        .segment = acpi_field<uint16_t>(table, first_entry + 8),
        .first_bus = acpi_field<uint8_t>(table, first_entry + 10),
        .last_bus = acpi_field<uint8_t>(table, first_entry + 11),
    };
}

void read_table(const PhysicalWindow& window, AcpiInfo& info, PhysicalAddress address) {
    const Bytes table = acpi_table_at(window, address);
    if (acpi_starts_with(table, "APIC")) read_madt(info, table);
    if (acpi_starts_with(table, "FACP")) read_fadt(window, info, table);
    if (acpi_starts_with(table, "MCFG")) read_mcfg(info, table);
}

}  // namespace

bool read_acpi(const PhysicalWindow& window, PhysicalAddress rsdp, AcpiInfo& info) {
    for (uint32_t irq = 0; irq < isa_interrupts; ++irq) {
        info.isa[irq] = {irq, Trigger::edge, Polarity::high};
    }
    const AcpiRoot root(window, rsdp);
    for (size_t i = 0; i < root.count(); ++i) read_table(window, info, root.address(i));
    return root.valid();
}

}  // namespace annulus::arch
