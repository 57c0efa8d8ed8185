// SPDX-License-Identifier: MIT
// This machine's ACPI information, kept after boot, and the registers it names.
#pragma once

#include "kernel/arch/x86_64/firmware/acpi.h"

namespace annulus::arch {

// What read_machine found.
const AcpiInfo& acpi_info();

// Reads the tables. Once, on the boot page tables.
void read_machine(const PhysicalWindow& window, PhysicalAddress rsdp);

// Maps registers that lie in memory. Once, before finish_kernel_map().
void map_machine_registers();

enum class MachineRegister : uint8_t { sleep_control, reset };

// Writes one byte; nothing when the machine has no such register.
void write_acpi_register(MachineRegister which, uint8_t value);

}  // namespace annulus::arch
