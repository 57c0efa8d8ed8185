// SPDX-License-Identifier: MIT
// The local interrupt controller, through memory (xAPIC) or registers (x2APIC) as the CPU has it.
// Registers: Intel SDM vol. 3, tables 10-1 and 10-6.
#include "kernel/arch/x86_64/interrupt/local_apic.h"

#include "arch/clock.h"
#include "arch/cpu.h"
#include "arch/cpu_local.h"
#include "arch/interrupts.h"
#include "arch/smp.h"
#include "kernel/arch/x86_64/cpu/clock_math.h"
#include "kernel/arch/x86_64/cpu/registers.h"
#include "kernel/arch/x86_64/memory/kernel_map.h"

#include <array>

namespace annulus::arch {

namespace {

enum class Register : uint32_t {
    id = 0x20,
    task_priority = 0x80,
    end_of_interrupt = 0xb0,
    spurious = 0xf0,
    command_low = 0x300,
    command_high = 0x310,
    vector_timer = 0x320,
    vector_line0 = 0x350,
    vector_line1 = 0x360,
    vector_error = 0x370,
    timer_initial = 0x380,
    timer_current = 0x390,
    timer_divide = 0x3e0,
};

constexpr uint64_t base_enable = 1u << 11, base_x2apic = 1u << 10;
constexpr uint32_t enable = 1u << 8, masked = 1u << 16;
constexpr uint32_t divide_by_one = 0xb;
constexpr uint32_t deliver_nmi = 4u << 8, deliver_init = 5u << 8, deliver_startup = 6u << 8;
constexpr uint32_t level_assert = 1u << 14, pending = 1u << 12;

constinit volatile uint32_t* registers = nullptr;  // null with x2APIC
constinit bool started = false;
constinit uint64_t counts_per_ns = 0;  // 32.32 fixed point
constinit std::array<uint32_t, cpus_max> apic_ids{};

Msr msr_of(Register r) {
    return static_cast<Msr>(static_cast<uint32_t>(Msr::x2apic_first) +
                            static_cast<uint32_t>(r) / 16);
}

uint32_t read(Register r) {
    if (!registers) return static_cast<uint32_t>(read_msr(msr_of(r)));
    return registers[static_cast<uint32_t>(r) / 4];
}

void write(Register r, uint32_t value) {
    if (!registers) return write_msr(msr_of(r), value);
    registers[static_cast<uint32_t>(r) / 4] = value;
}

void send_command(uint32_t apic_id, uint32_t command) {
    if (!registers) {
        // A write to this register orders nothing by itself: what the receiver is to see must be
        // visible first (SDM vol. 3, 10.12.3).
        asm volatile("mfence; lfence" ::: "memory");
        return write_msr(msr_of(Register::command_low), uint64_t{apic_id} << 32 | command);
    }
    while (read(Register::command_low) & pending) pause();
    write(Register::command_high, apic_id << 24);
    write(Register::command_low, command);
}

// One by one: the broadcast would also reach CPUs that were never started, and those are still in
// the firmware's hands, where a signal can reset the machine.
void send_to_others(uint32_t command) {
    const unsigned own = this_cpu().index;
    for (unsigned cpu = 0; cpu < cpu_count(); ++cpu) {
        if (cpu != own) send_command(apic_ids[cpu], command);
    }
}

}  // namespace

void find_local_apic(PhysicalAddress address) {
    if (!cpu_features().x2apic) registers = map_device_page(address & ~(page_size - 1));
}

uint32_t start_local_apic() {
    const uint64_t base = read_msr(Msr::apic_base) | base_enable;
    write_msr(Msr::apic_base, registers ? base : base | base_x2apic);
    write(Register::task_priority, 0);
    write(Register::spurious, enable | vector_spurious);
    write(Register::vector_timer, masked);
    write(Register::vector_line0, masked);
    write(Register::vector_line1, deliver_nmi);
    write(Register::vector_error, masked);
    write(Register::timer_divide, divide_by_one);
    started = true;
    const uint32_t id = read(Register::id);
    return registers ? id >> 24 : id;
}

void set_apic_id(unsigned cpu, uint32_t apic_id) { apic_ids[cpu] = apic_id; }
uint32_t apic_id_of(unsigned cpu) { return apic_ids[cpu]; }

uint32_t read_timer_count() { return read(Register::timer_current); }

void start_timer_measurement() {
    write(Register::vector_timer, masked);
    write(Register::timer_initial, ~uint32_t{0});
}

void set_timer_frequency(uint64_t counts_per_second) {
    counts_per_ns =
        divide_wide(static_cast<unsigned __int128>(counts_per_second) << 32, 1'000'000'000);
}

void enable_timer() {
    write(Register::timer_initial, 0);
    write(Register::vector_timer, vector_timer);
}

void set_timer(uint64_t deadline_ns) {
    const uint64_t now = now_ns();
    // One count at least: zero would stop the timer. One more than computed: never early.
    uint32_t counts = 1;
    if (deadline_ns > now) {
        const auto exact = static_cast<unsigned __int128>(deadline_ns - now) * counts_per_ns >> 32;
        const unsigned __int128 limit = ~uint32_t{0} - 1;
        counts = static_cast<uint32_t>(exact < limit ? exact : limit) + 1;
    }
    write(Register::timer_initial, counts);
}

void stop_timer() { write(Register::timer_initial, 0); }

void end_of_interrupt() { write(Register::end_of_interrupt, 0); }

void send_ipi(unsigned cpu, unsigned vector) { send_command(apic_ids[cpu], level_assert | vector); }

void send_ipi_to_others(unsigned vector) { send_to_others(level_assert | vector); }

void send_init(uint32_t apic_id) { send_command(apic_id, deliver_init | level_assert); }

void send_startup(uint32_t apic_id, uint8_t page) {
    send_command(apic_id, deliver_startup | level_assert | page);
}

void send_nmi_to_others() {
    if (started) send_to_others(level_assert | deliver_nmi);
}

Result<InterruptMessage> interrupt_message(unsigned cpu, unsigned vector) {
    // The address has eight bits for the CPU, of which 255 means all.
    if (apic_ids[cpu] >= 255) return Error::not_supported;
    // Physical destination, fixed delivery, edge (SDM vol. 3, 10.11).
    return InterruptMessage{0xfee00000 | uint64_t{apic_ids[cpu]} << 12, vector};
}

void hold_device_interrupts(bool hold) {
    // Holds back all vectors of this class of 16 and below (SDM vol. 3, 10.8.3.1).
    static_assert(vector_device_last % 16 == 15 && vector_timer > vector_device_last);
    write(Register::task_priority, hold ? vector_device_last & 0xf0 : 0);
}

}  // namespace annulus::arch
