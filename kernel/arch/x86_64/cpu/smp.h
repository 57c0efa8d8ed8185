// SPDX-License-Identifier: MIT
// Preparing the start of the other CPUs.
#pragma once

#include "boot/memory_map.h"
#include "kernel/arch/x86_64/firmware/acpi.h"
#include "kernel/arch/x86_64/trap/descriptors.h"

#include <stdint.h>

namespace annulus::arch {

// Chooses the CPUs and maps their stacks. Once, on the boot CPU, before finish_kernel_map().
void prepare_other_cpus(const AcpiInfo& info, const RangeList& ram, uint32_t boot_apic_id,
                        const CpuStacks& boot_stacks);

}  // namespace annulus::arch
