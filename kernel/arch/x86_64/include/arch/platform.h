// SPDX-License-Identifier: MIT
// What the firmware's tables say about the machine's buses, for the program that drives them.
#pragma once

#include "kernel/boot_info.h"

#include <stdint.h>

namespace annulus::arch {

// One PCI Express configuration window: 4 KiB for each function of buses first to last.
struct PciWindow {
    uint64_t base;  // physical address of bus 0, whether or not it is in the window
    uint16_t segment;
    uint8_t first_bus, last_bus;
};

// The first window the firmware describes, or base 0: then only ports 0xcf8 and 0xcfc reach PCI.
PciWindow pci_window();

// True when the physical range overlaps registers that the kernel keeps for itself (interrupt
// controllers), so that no program may map them.
bool kernel_owns_registers(const kernel::PhysicalRange& range);
// True when a part of the physical range is RAM: seen through the direct map.
bool any_ram(const kernel::PhysicalRange& range);
// True when the kernel keeps one of the I/O ports [first, first + count): interrupt controller,
// timer, exit device.
bool kernel_owns_ports(uint32_t first, uint32_t count);

// Ports below 0x10000. Only for ports that were granted to whoever asks.
uint8_t read_port_u8(uint16_t port);
uint16_t read_port_u16(uint16_t port);
uint32_t read_port_u32(uint16_t port);
void write_port_u8(uint16_t port, uint8_t value);
void write_port_u16(uint16_t port, uint16_t value);
void write_port_u32(uint16_t port, uint32_t value);

}  // namespace annulus::arch
