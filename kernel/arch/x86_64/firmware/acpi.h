// SPDX-License-Identifier: MIT
// The firmware's ACPI tables: CPUs, interrupt controllers, power registers, PCI windows.
//
// No hardware access. The tables come from outside: every length is checked against the window and
// its table, every table's checksum is verified, unknown entries are skipped. No AML is run; of the
// DSDT only the constant that names the off state is looked for.
#pragma once

#include "arch/address.h"
#include "arch/interrupts.h"
#include "arch/platform.h"
#include "boot/start_info.h"

#include <stdint.h>

#include <array>

namespace annulus::arch {

inline constexpr unsigned acpi_cpus_max = 256;
inline constexpr unsigned io_apics_max = 16;
inline constexpr unsigned isa_interrupts = 16;

struct IoApicInfo {
    PhysicalAddress address = 0;
    uint32_t first_gsi = 0;
};

// A register somewhere (ACPI 6.4, 5.2.3.2). Address 0: there is none.
struct AcpiRegister {
    enum class Space : uint8_t { memory = 0, port = 1, other = 2 };
    Space space = Space::other;
    uint64_t address = 0;
};

struct AcpiInfo {
    bool has_madt = false;
    PhysicalAddress local_apic = 0xfee00000;
    std::array<uint32_t, acpi_cpus_max> cpus{};  // local APIC numbers of enabled CPUs
    uint32_t cpu_count = 0;
    std::array<IoApicInfo, io_apics_max> io_apics{};
    uint32_t io_apic_count = 0;
    std::array<InterruptLine, isa_interrupts> isa{};

    bool has_fadt = false;
    bool hardware_reduced = false;  // the PM1 ports and the PM timer do not exist
    uint16_t timer_port = 0;        // counts 3,579,545 times a second, 24 bits; 0: none
    uint16_t control_a = 0, control_b = 0;
    AcpiRegister sleep_control, reset;
    uint8_t reset_value = 0;
    bool has_off_state = false;
    uint8_t off_a = 0, off_b = 0;
    uint8_t century_index = 0;

    PciWindow pci;
};

// Fills a fresh `info`. False when there is no valid root table; what follows may still be missing.
bool read_acpi(const PhysicalWindow& window, PhysicalAddress rsdp, AcpiInfo& info);

}  // namespace annulus::arch
