// SPDX-License-Identifier: MIT
// The 16550 UART.
#include "drivers/console/serial/uart.h"

namespace annulus::serial {
namespace {

// Registers, relative to the first port.
constexpr uint64_t data = 0;
constexpr uint64_t interrupt_enable = 1;
constexpr uint64_t interrupt_identification = 2;  // read
constexpr uint64_t fifo_control = 2;              // write
constexpr uint64_t line_control = 3;
constexpr uint64_t modem_control = 4;
constexpr uint64_t line_status = 5;
constexpr uint64_t divisor_low = 0;  // while divisor_access is set
constexpr uint64_t divisor_high = 1;

constexpr uint64_t received_interrupt = 0x01;
constexpr uint64_t transmitter_interrupt = 0x02;
constexpr uint64_t divisor_access = 0x80;
constexpr uint64_t eight_bits = 0x03;
constexpr uint64_t divisor_115200 = 1;
// An interrupt at the first byte. Neither queue is emptied: they may hold what was typed at boot,
// and the last bytes of whoever had the port before.
constexpr uint64_t queues_on = 0x01;
// Data terminal ready, request to send, and output 2, which on a PC lets the interrupt out.
constexpr uint64_t modem_lines = 0x0b;
constexpr uint64_t no_interrupt = 0x01;  // of interrupt identification

// A full transmitter is empty after 1.5 ms; each look takes more than 100 ns.
constexpr unsigned idle_looks = 100'000;

}  // namespace

Result<void> Uart::prepare() {
    if (TRY(status()).is_absent()) return Error::no_route;
    // Changing the speed would garble what is still being sent.
    for (unsigned i = 0; i < idle_looks && !TRY(status()).idle(); ++i) {
    }
    TRY(write(interrupt_enable, 0));
    TRY(write(line_control, divisor_access));
    TRY(write(divisor_low, divisor_115200));
    TRY(write(divisor_high, 0));
    TRY(write(line_control, eight_bits));
    TRY(write(fifo_control, queues_on));
    TRY(write(modem_control, modem_lines));
    return write(interrupt_enable, received_interrupt);
}

Result<LineStatus> Uart::status() const {
    return LineStatus{TRY(ports_.read_value(line_status, 1))};
}

Result<std::byte> Uart::receive() const {
    return static_cast<std::byte>(TRY(ports_.read_value(data, 1)));
}

Result<void> Uart::transmit(std::span<const std::byte> batch) const {
    return ports_.write_string(data, batch);
}

Result<void> Uart::set_transmit_interrupt(bool enabled) {
    if (enabled == transmit_interrupt_) return {};
    transmit_interrupt_ = enabled;
    return write(interrupt_enable, received_interrupt | (enabled ? transmitter_interrupt : 0));
}

Result<bool> Uart::asks_for_interrupt() const {
    return (TRY(ports_.read_value(interrupt_identification, 1)) & no_interrupt) == 0;
}

}  // namespace annulus::serial
