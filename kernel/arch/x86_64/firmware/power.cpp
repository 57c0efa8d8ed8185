// SPDX-License-Identifier: MIT
// Turning the machine off and restarting it.
#include "arch/power.h"

#include "arch/cpu.h"
#include "kernel/arch/x86_64/cpu/clock.h"
#include "kernel/arch/x86_64/cpu/registers.h"
#include "kernel/arch/x86_64/debug/stop.h"
#include "kernel/arch/x86_64/firmware/machine.h"
#include "kernel/log.h"

namespace annulus::arch {

namespace {

// Firmware and chipsets may take some time to act.
constexpr uint64_t power_wait_ns = 1'000'000'000;

constexpr uint16_t sleep_enable = 1u << 13;  // of PM1 control (ACPI 6.4, 4.8.3.2.1)
constexpr unsigned sleep_type_shift = 10;
constexpr uint8_t reduced_sleep_enable = 1u << 5;  // of the sleep control register (4.8.3.7)
constexpr unsigned reduced_sleep_type_shift = 2;

void enter_off_state() {
    const AcpiInfo& info = acpi_info();
    if (!info.has_off_state) return;
    if (info.hardware_reduced) {
        write_acpi_register(
            MachineRegister::sleep_control,
            static_cast<uint8_t>(info.off_a << reduced_sleep_type_shift | reduced_sleep_enable));
        return;
    }
    if (info.control_a) {
        out16(info.control_a, static_cast<uint16_t>(info.off_a << sleep_type_shift | sleep_enable));
    }
    if (info.control_b) {
        out16(info.control_b, static_cast<uint16_t>(info.off_b << sleep_type_shift | sleep_enable));
    }
}

}  // namespace

void power_off(bool failed) {
    disable_interrupts();
    leave_emulator(failed ? exit_code_failed : exit_code_clean);
    enter_off_state();
    delay_ns(power_wait_ns);
    kernel::log("power: this machine cannot turn itself off; it is safe to do so now");
    halt_for_ever();
}

void reboot() {
    disable_interrupts();
    write_acpi_register(MachineRegister::reset, acpi_info().reset_value);
    delay_ns(power_wait_ns);
    // The keyboard controller's pulse on the reset line (IBM PC/AT technical reference).
    out8(0x64, 0xfe);
    delay_ns(power_wait_ns);
    kernel::log("power: this machine cannot restart itself");
    halt_for_ever();
}

}  // namespace annulus::arch
