// SPDX-License-Identifier: MIT
// The early console: a 16550 UART at the PC's first serial port, polled.
#include "arch/console.h"

#include "arch/cpu.h"
#include "kernel/arch/x86_64/cpu/registers.h"
#include "kernel/arch/x86_64/debug/stop.h"

#include <atomic>
#include <utility>

namespace annulus::arch {

namespace {

// Registers (National Semiconductor PC16550D data sheet, table II).
constexpr uint16_t port = 0x3f8;
constexpr uint16_t data = port, interrupt_enable = port + 1, fifo_control = port + 2;
constexpr uint16_t line_control = port + 3, modem_control = port + 4, line_status = port + 5;
constexpr uint16_t interrupt_identification = fifo_control, scratch = port + 7;
constexpr uint8_t status_received = 0x01, status_can_send = 0x20;

// A byte takes 87 us at 115200 baud; a port that is stuck longer than this loses the byte.
constexpr unsigned send_spins_max = 1'000'000;

constexpr uint8_t modem_lines = 0x03, loopback = 0x10;
constexpr uint8_t queues_on = 0x01;   // in fifo_control
constexpr uint8_t queues_are = 0xc0;  // in interrupt_identification

constinit bool present = false;
constinit int early = -1;  // set at boot, then under the lock
constinit std::atomic<bool> locked = false;

void send(uint8_t byte) {
    for (unsigned i = 0; i < send_spins_max; ++i) {
        if (in8(line_status) & status_can_send) {
            out8(data, byte);
            return;
        }
        pause();
    }
}

}  // namespace

void console_init() {
    out8(scratch, 0x5a);
    if (in8(scratch) != 0x5a) return;
    out8(interrupt_enable, 0);
    out8(line_control, 0x80);  // the next two are the divisor: 115200 baud
    out8(data, 1);
    out8(interrupt_enable, 0);
    out8(line_control, 0x03);  // 8 bits, no parity
    // What has arrived stays, for the driver. Turning the queues on empties them (8.5), and the one
    // byte that there may be without them; in loopback nothing arrives meanwhile (8.8).
    out8(modem_control, modem_lines | loopback);
    const bool has_queues = (in8(interrupt_identification) & queues_are) != 0;
    if (!has_queues && (in8(line_status) & status_received) != 0) early = in8(data);
    out8(fifo_control, queues_on);
    out8(modem_control, modem_lines);
    present = true;
}

void console_write(std::string_view text) {
    if (!present) return;
    for (const char c : text) {
        if (c == '\n') send('\r');
        send(static_cast<uint8_t>(c));
    }
}

int console_take_early() { return std::exchange(early, -1); }

ConsoleLock::ConsoleLock() {
    // Acquire: pairs with the release below, so that lines leave in one order. Not awaited while
    // the machine stops: the holder may be stopped already.
    while (locked.exchange(true, std::memory_order_acquire)) {
        if (machine_is_stopping()) return;
        pause();
    }
}

ConsoleLock::~ConsoleLock() {
    // Release: pairs with the exchange above.
    locked.store(false, std::memory_order_release);
}

}  // namespace annulus::arch
