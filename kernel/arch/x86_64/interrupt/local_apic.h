// SPDX-License-Identifier: MIT
// The local interrupt controller of each CPU: acknowledging, timer, signals between CPUs.
#pragma once

#include "arch/address.h"

#include <stdint.h>

namespace annulus::arch {

// Finds and maps the controller, on the boot CPU before finish_kernel_map().
void find_local_apic(PhysicalAddress address);

// Turns this CPU's controller on, timer stopped. Returns its number.
uint32_t start_local_apic();

// Timer counts left; for measuring how fast it counts.
uint32_t read_timer_count();
// Starts counting down from the highest value without an interrupt.
void start_timer_measurement();
// Sets how fast the timer counts, the same on every CPU.
void set_timer_frequency(uint64_t counts_per_second);
// Lets this CPU's timer raise its interrupt. On every CPU, after set_timer_frequency.
void enable_timer();

// CPU start (Intel SDM vol. 3, 8.4.4.1). `page` is the start page's number, below 256.
void send_init(uint32_t apic_id);
void send_startup(uint32_t apic_id, uint8_t page);

// Non-maskable interrupt to all other CPUs. Nothing before start_local_apic().
void send_nmi_to_others();

// Connects CPU indices to controller numbers.
void set_apic_id(unsigned cpu, uint32_t apic_id);
uint32_t apic_id_of(unsigned cpu);

}  // namespace annulus::arch
