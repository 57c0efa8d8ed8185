// SPDX-License-Identifier: MIT
// Hardware: the factory of port ranges, interrupt lines and device registers.
//
// Each is handed out once, and again after the object that was made for it has ended. Never RAM,
// and never what the kernel keeps for itself (arch/platform.h). Locking: one lock of rank `device`
// for all that is handed out.
#pragma once

#include "kernel/boot_info.h"
#include "kernel/object/interrupt.h"
#include "kernel/object/ports.h"

namespace annulus::kernel {

class MemoryObject;

inline constexpr unsigned port_ranges_max = 128;
inline constexpr unsigned register_ranges_max = 512;

class Hardware final : public Object {
public:
    // For the first process; there may be several, which hand out the same things.
    static Result<Ref<Hardware>> create(Budget& budget) { return budget.create<Hardware>(); }

    // All: busy (handed out), limit (too many ranges), no_budget.
    // out_of_range: no such ports; permission: the kernel keeps them.
    static Result<Ref<Ports>> create_ports(Budget& budget, uint64_t base, uint64_t count);
    // `line` below 16 is an ISA interrupt. out_of_range: no such line.
    static Result<Ref<Interrupt>> create_interrupt(Budget& budget, uint64_t line);
    // Raised by a message, on the CPU with this index. limit: no vector is free; out_of_range: no
    // such CPU; not_supported: messages cannot name it.
    static Result<Ref<Interrupt>> create_message_interrupt(Budget& budget, uint64_t cpu);
    // Page aligned. out_of_range: beyond the CPU's addresses; permission: RAM, or the kernel's.
    static Result<Ref<MemoryObject>> create_registers(Budget& budget, PhysicalRange range);

    Hardware(Budget* payer, uint32_t size) : Object(kind_table, payer, size) {}
    static const ObjectKind kind_table;
};

// What was handed out comes back, when the object made for it ends. The range is the object's.
void give_back_ports(uint32_t base, uint32_t count);
void give_back_interrupt(uint32_t gsi);
void give_back_registers(PhysicalRange range);

}  // namespace annulus::kernel
