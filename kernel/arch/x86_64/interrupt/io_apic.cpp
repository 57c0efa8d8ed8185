// SPDX-License-Identifier: MIT
// Device interrupt lines through I/O APICs (Intel 82093AA data sheet, chapter 3).
#include "kernel/arch/x86_64/interrupt/io_apic.h"

#include "arch/cpu.h"
#include "kernel/arch/x86_64/cpu/registers.h"
#include "kernel/arch/x86_64/interrupt/local_apic.h"
#include "kernel/arch/x86_64/memory/kernel_map.h"

#include <array>
#include <atomic>

namespace annulus::arch {

namespace {

constexpr uint32_t version_register = 1, entries_register = 16;
constexpr uint32_t active_low = 1u << 13, level_triggered = 1u << 15, masked = 1u << 16;

// Old interrupt controllers: command and data ports.
constexpr uint16_t pic1_command = 0x20, pic1_data = 0x21, pic2_command = 0xa0, pic2_data = 0xa1;

struct IoApic {
    volatile uint32_t* registers = nullptr;
    uint32_t first_gsi = 0;
    uint32_t lines = 0;
};

constinit std::array<IoApic, io_apics_max> io_apics{};
constinit uint32_t io_apic_count = 0;
constinit std::array<InterruptLine, isa_interrupts> isa_lines{};

// A register access takes two steps, select and transfer. This lock is the innermost of all.
constinit std::atomic<bool> locked = false;

class Guard {
public:
    Guard() {
        // Acquire: pairs with the release below, so that register accesses do not mix.
        while (locked.exchange(true, std::memory_order_acquire)) pause();
    }
    // Release: pairs with the exchange above.
    ~Guard() { locked.store(false, std::memory_order_release); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
};

uint32_t read(const IoApic& apic, uint32_t index) {
    apic.registers[0] = index;
    return apic.registers[4];
}

void write(const IoApic& apic, uint32_t index, uint32_t value) {
    apic.registers[0] = index;
    apic.registers[4] = value;
}

uint32_t entry_index(const IoApic& apic, uint32_t gsi) {
    return entries_register + 2 * (gsi - apic.first_gsi);
}

const IoApic* find(uint32_t gsi) {
    for (uint32_t i = 0; i < io_apic_count; ++i) {
        if (gsi >= io_apics[i].first_gsi && gsi - io_apics[i].first_gsi < io_apics[i].lines) {
            return &io_apics[i];
        }
    }
    return nullptr;
}

void set_mask(uint32_t gsi, uint32_t mask) {
    const IoApic* apic = find(gsi);
    if (!apic) return;
    const Guard guard;
    const uint32_t index = entry_index(*apic, gsi);
    write(*apic, index, (read(*apic, index) & ~masked) | mask);
    // Reading back completes the posted write.
    static_cast<void>(read(*apic, index));
}

}  // namespace

void silence_old_interrupt_controllers() {
    out8(pic1_data, 0xff);
    out8(pic2_data, 0xff);
    // Moved off the exception vectors: a masked controller may still raise its spurious interrupt
    // (Intel 8259A data sheet, ICW1 to ICW4).
    out8(pic1_command, 0x11);
    out8(pic2_command, 0x11);
    out8(pic1_data, 0x20);
    out8(pic2_data, 0x28);
    out8(pic1_data, 4);
    out8(pic2_data, 2);
    out8(pic1_data, 1);
    out8(pic2_data, 1);
    out8(pic1_data, 0xff);
    out8(pic2_data, 0xff);
}

void start_io_apics(const AcpiInfo& info) {
    isa_lines = info.isa;
    for (uint32_t i = 0; i < info.io_apic_count; ++i) {
        IoApic& apic = io_apics[io_apic_count];
        const PhysicalAddress address = info.io_apics[i].address;
        apic.registers = map_device_page(address & ~(page_size - 1)) + address % page_size / 4;
        apic.first_gsi = info.io_apics[i].first_gsi;
        apic.lines = (read(apic, version_register) >> 16 & 0xff) + 1;
        for (uint32_t line = 0; line < apic.lines; ++line) {
            write(apic, entries_register + 2 * line, masked);
        }
        ++io_apic_count;
    }
}

InterruptLine isa_interrupt_line(unsigned irq) { return isa_lines[irq % isa_interrupts]; }

uint32_t interrupt_line_count() {
    uint32_t count = 0;
    for (uint32_t i = 0; i < io_apic_count; ++i) {
        const uint32_t end = io_apics[i].first_gsi + io_apics[i].lines;
        if (end > count) count = end;
    }
    return count;
}

Result<void> route_interrupt(const InterruptLine& line, unsigned vector, unsigned cpu) {
    const IoApic* apic = find(line.gsi);
    if (!apic) return Error::not_found;
    // The destination field has eight bits, of which 255 means all.
    if (apic_id_of(cpu) >= 255) return Error::not_supported;
    const Guard guard;
    const uint32_t index = entry_index(*apic, line.gsi);
    write(*apic, index, masked);
    write(*apic, index + 1, apic_id_of(cpu) << 24);
    write(*apic, index,
          masked | vector | (line.trigger == Trigger::level ? level_triggered : 0) |
              (line.polarity == Polarity::low ? active_low : 0));
    return {};
}

void mask_interrupt(uint32_t gsi) { set_mask(gsi, masked); }
void unmask_interrupt(uint32_t gsi) { set_mask(gsi, 0); }

}  // namespace annulus::arch
