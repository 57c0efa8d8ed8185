// SPDX-License-Identifier: MIT
// Measuring the time-stamp counter and the local timer.
#pragma once

#include "kernel/arch/x86_64/firmware/acpi.h"

namespace annulus::arch {

// Measures both against the ACPI timer or, without one, the old interval timer, for 10 ms, and
// starts the clock. Once, on the boot CPU, after start_local_apic().
void start_clock(const AcpiInfo& info);

// Waits, spinning.
void delay_ns(uint64_t duration);

}  // namespace annulus::arch
