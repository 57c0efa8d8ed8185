// SPDX-License-Identifier: MIT
// Setting up the controllers of device interrupt lines.
#pragma once

#include "kernel/arch/x86_64/firmware/acpi.h"

namespace annulus::arch {

// Masks the two 8259 controllers. Before start_local_apic(): their output must fall while the local
// controller still listens to it. QEMU otherwise keeps an interrupt pending that has no vector, and
// the first STI ends in a general protection fault.
void silence_old_interrupt_controllers();

// Maps the I/O APICs and masks all their lines. Once, before finish_kernel_map().
void start_io_apics(const AcpiInfo& info);

}  // namespace annulus::arch
