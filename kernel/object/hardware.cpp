// SPDX-License-Identifier: MIT
// Handing out ports, interrupt lines and device registers.
#include "kernel/object/hardware.h"

#include "arch/cpu.h"
#include "arch/interrupts.h"
#include "arch/platform.h"
#include "base/align.h"
#include "kernel/assert.h"
#include "kernel/memory/memory_object.h"
#include "kernel/object/range_claims.h"
#include "kernel/schedule/cpu.h"

namespace annulus::kernel {

namespace {

constexpr uint32_t port_count = 0x10000;
constexpr unsigned isa_lines = 16;

constinit SpinLock claims_lock{LockRank::device};
constinit RangeClaims<port_ranges_max> claimed_ports;
constinit RangeClaims<arch::vector_device_last - arch::vector_device_first + 1> claimed_lines;
constinit RangeClaims<register_ranges_max> claimed_registers;

template <typename Claims>
Result<void> claim(Claims& claims, uint64_t begin, uint64_t end) {
    SpinGuard guard(claims_lock);
    return claims.claim(begin, end);
}

template <typename Claims>
void give_back(Claims& claims, uint64_t begin, uint64_t end) {
    SpinGuard guard(claims_lock);
    const bool claimed = claims.give_back(begin, end);
    kernel_assert(claimed, "hardware given back that was not handed out");
}

bool detach_hardware(Object&) { return true; }
void die_hardware(Object&) {}
void destruct_hardware(Object& object) { static_cast<Hardware&>(object).~Hardware(); }

}  // namespace

const ObjectKind Hardware::kind_table = {abi::ObjectType::hardware, detach_hardware, die_hardware,
                                         destruct_hardware};

Result<Ref<Ports>> Hardware::create_ports(Budget& budget, uint64_t base, uint64_t count) {
    if (count == 0 || !range_fits(base, count, port_count)) return Error::out_of_range;
    const auto first = static_cast<uint32_t>(base);
    const auto length = static_cast<uint32_t>(count);
    if (arch::kernel_owns_ports(first, length)) return Error::permission;
    TRY(claim(claimed_ports, first, first + length));
    auto ports = budget.create<Ports>(first, length);
    if (!ports.ok()) give_back_ports(first, length);
    return ports;
}

Result<Ref<Interrupt>> Hardware::create_interrupt(Budget& budget, uint64_t line) {
    if (line >= arch::interrupt_line_count() && line >= isa_lines) return Error::out_of_range;
    // PCI's lines above the ISA range are level-triggered, active low (PCI 3.0, 2.2.6).
    const auto number = static_cast<uint32_t>(line);
    const arch::InterruptLine wanted =
        number < isa_lines ? arch::isa_interrupt_line(number)
                           : arch::InterruptLine{number, arch::Trigger::level, arch::Polarity::low};
    TRY(claim(claimed_lines, wanted.gsi, uint64_t{wanted.gsi} + 1));
    auto interrupt = Interrupt::create(budget, wanted);
    // From its creation on the object gives the line back.
    if (!interrupt.ok() && interrupt.error() != Error::not_found) return interrupt.status();
    if (!interrupt.ok()) return Error::out_of_range;
    return interrupt;
}

Result<Ref<Interrupt>> Hardware::create_message_interrupt(Budget& budget, uint64_t cpu) {
    if (cpu >= online_cpus()) return Error::out_of_range;
    return Interrupt::create_message(budget, static_cast<unsigned>(cpu));
}

Result<Ref<MemoryObject>> Hardware::create_registers(Budget& budget, PhysicalRange range) {
    const uint64_t end_of_addresses = uint64_t{1} << arch::cpu_features().physical_bits;
    if (range.empty() || range.end > end_of_addresses) return Error::out_of_range;
    if (arch::kernel_owns_registers(range) || arch::any_ram(range)) return Error::permission;
    TRY(claim(claimed_registers, range.begin, range.end));
    auto memory = MemoryObject::create_physical(budget, range, MemoryKind::device);
    if (!memory.ok()) give_back_registers(range);
    return memory;
}

void give_back_ports(uint32_t base, uint32_t count) {
    give_back(claimed_ports, base, uint64_t{base} + count);
}

void give_back_interrupt(uint32_t gsi) { give_back(claimed_lines, gsi, uint64_t{gsi} + 1); }

void give_back_registers(PhysicalRange range) {
    give_back(claimed_registers, range.begin, range.end);
}

}  // namespace annulus::kernel
