// SPDX-License-Identifier: MIT
// This machine's ACPI information, and what it means for programs that drive devices.
#include "kernel/arch/x86_64/firmware/machine.h"

#include "arch/platform.h"
#include "kernel/arch/x86_64/cpu/registers.h"
#include "kernel/arch/x86_64/memory/kernel_map.h"

#include <algorithm>
#include <array>

namespace annulus::arch {

namespace {

constinit AcpiInfo info{};

// Mapped addresses of the registers that lie in memory.
constinit volatile uint8_t* sleep_control_register = nullptr;
constinit volatile uint8_t* reset_register = nullptr;

// I/O APICs and local APICs take one page each.
constexpr uint64_t io_apic_size = page_size;

struct PortRange {
    uint32_t first, count;
};
// Interrupt controllers, interval timer and its gate, battery-backed clock, emulator exit.
constexpr std::array<PortRange, 6> kernel_ports{
    {{0x20, 2}, {0x40, 4}, {0x61, 1}, {0x70, 2}, {0xa0, 2}, {0xf4, 4}}};

volatile uint8_t* map_register(const AcpiRegister& where) {
    if (where.address == 0 || where.space != AcpiRegister::Space::memory) return nullptr;
    volatile uint32_t* page = map_device_page(where.address & ~(page_size - 1));
    // Safety: a byte of the page that was mapped just now.
    return reinterpret_cast<volatile uint8_t*>(page) + where.address % page_size;
}

bool overlap(PortRange a, PortRange b) {
    return a.first < b.first + b.count && b.first < a.first + a.count;
}

}  // namespace

const AcpiInfo& acpi_info() { return info; }

void read_machine(const PhysicalWindow& window, PhysicalAddress rsdp) {
    read_acpi(window, rsdp, info);
}

void map_machine_registers() {
    sleep_control_register = map_register(info.sleep_control);
    reset_register = map_register(info.reset);
}

void write_acpi_register(MachineRegister which, uint8_t value) {
    const bool is_reset = which == MachineRegister::reset;
    const AcpiRegister& where = is_reset ? info.reset : info.sleep_control;
    volatile uint8_t* const mapped = is_reset ? reset_register : sleep_control_register;
    if (mapped) {
        *mapped = value;
    } else if (where.space == AcpiRegister::Space::port && where.address != 0) {
        out8(static_cast<uint16_t>(where.address), value);
    }
}

PciWindow pci_window() { return info.pci; }

bool kernel_owns_registers(const kernel::PhysicalRange& range) {
    const auto touches = [&](PhysicalAddress address) {
        const PhysicalAddress page = address & ~(page_size - 1);
        return range.overlaps({page, page + io_apic_size});
    };
    if (touches(info.local_apic)) return true;
    return std::any_of(info.io_apics.begin(), info.io_apics.begin() + info.io_apic_count,
                       [&](const IoApicInfo& apic) { return touches(apic.address); });
}

bool kernel_owns_ports(uint32_t first, uint32_t count) {
    const PortRange asked{first, count};
    const bool fixed = std::any_of(kernel_ports.begin(), kernel_ports.end(),
                                   [&](PortRange own) { return overlap(own, asked); });
    // PM1 control is two bytes: whoever writes it turns the machine off.
    const auto touches = [&](uint16_t port) { return port != 0 && overlap({port, 2}, asked); };
    return fixed || touches(info.control_a) || touches(info.control_b);
}

uint8_t read_port_u8(uint16_t port) { return in8(port); }
uint16_t read_port_u16(uint16_t port) { return in16(port); }
uint32_t read_port_u32(uint16_t port) { return in32(port); }
void write_port_u8(uint16_t port, uint8_t value) { out8(port, value); }
void write_port_u16(uint16_t port, uint16_t value) { out16(port, value); }
void write_port_u32(uint16_t port, uint32_t value) { out32(port, value); }

}  // namespace annulus::arch
