// SPDX-License-Identifier: MIT
// Interrupt controllers: vectors, acknowledgement, timer, signals between CPUs, device lines.
#pragma once

#include "abi/status.h"
#include "base/result.h"

#include <stdint.h>

namespace annulus::arch {

// Who owns which vector. 0-31 are exceptions.
inline constexpr unsigned vector_device_first = 0x30;
inline constexpr unsigned vector_device_last = 0xdf;
inline constexpr unsigned vector_timer = 0xe0;
inline constexpr unsigned vector_ipi_first = 0xe8;  // the portable kernel's signals between CPUs
inline constexpr unsigned vector_ipi_last = 0xef;
inline constexpr unsigned vector_spurious = 0xff;

// Acknowledges the interrupt being handled (not the spurious one) at this CPU's controller.
void end_of_interrupt();

// This CPU's one-shot timer: vector_timer arrives at or shortly after `deadline_ns` of now_ns(), or
// early when the deadline is further away than the timer can count; the receiver looks at the clock
// and sets it anew. Replaces the previous deadline. A past deadline fires at once.
void set_timer(uint64_t deadline_ns);
// No timer interrupt will be raised from now on; one may already be pending.
void stop_timer();

// Raises `vector` on a CPU that runs, or on all running CPUs but this one.
void send_ipi(unsigned cpu, unsigned vector);
void send_ipi_to_others(unsigned vector);

enum class Trigger : uint8_t { edge, level };
enum class Polarity : uint8_t { high, low };

// A device line at the I/O interrupt controllers, by global number.
struct InterruptLine {
    uint32_t gsi;
    Trigger trigger;
    Polarity polarity;
};

// The line of one of the 16 ISA interrupts, with the firmware's overrides applied.
InterruptLine isa_interrupt_line(unsigned irq);

// One past the highest line number that any I/O interrupt controller has; 0 without one.
uint32_t interrupt_line_count();

// Routes a line to a vector on a CPU, masked. not_found: no controller has the line. Safe on any
// CPU.
Result<void> route_interrupt(const InterruptLine& line, unsigned vector, unsigned cpu);
// Both ignore lines that do not exist. Masking takes effect before it returns. Safe on any CPU.
void mask_interrupt(uint32_t gsi);
void unmask_interrupt(uint32_t gsi);

// What a PCI function must write to raise `vector` on `cpu` (message-signalled interrupts).
struct InterruptMessage {
    uint64_t address;
    uint32_t data;
};
// not_supported: a message cannot name that CPU.
Result<InterruptMessage> interrupt_message(unsigned cpu, unsigned vector);

// While held, this CPU takes none of the device vectors; timer and signals still arrive. What comes
// meanwhile is kept, once for each vector, and arrives afterwards.
void hold_device_interrupts(bool hold);

}  // namespace annulus::arch
