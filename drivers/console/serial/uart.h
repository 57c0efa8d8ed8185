// SPDX-License-Identifier: MIT
// The 16550 UART: its registers, and what the driver does with them.
//
// Reference: TI PC16550D data sheet, section 8 (registers).
#pragma once

#include "generated/objects.h"

#include <stdint.h>

#include <cstddef>
#include <span>

namespace annulus::serial {

// Line status (8.4).
struct LineStatus {
    uint64_t bits;
    [[nodiscard]] bool has_data() const { return (bits & 0x01) != 0; }
    // The transmitter's queue is empty: it takes a whole batch.
    [[nodiscard]] bool takes_batch() const { return (bits & 0x20) != 0; }
    [[nodiscard]] bool idle() const { return (bits & 0x40) != 0; }  // the last bit is on the line
    // Where there is no device, a read gives ones.
    [[nodiscard]] bool is_absent() const { return bits == 0xff; }
};

class Uart {
public:
    explicit Uart(PortsReference ports) : ports_(ports) {}

    // 115200 baud, 8 data bits, no parity, queues on, interrupts for received bytes. no_route:
    // there is no such device.
    Result<void> prepare();

    Result<LineStatus> status() const;
    Result<std::byte> receive() const;
    Result<void> transmit(std::span<const std::byte> batch) const;

    // Whether an empty transmitter raises an interrupt, too.
    Result<void> set_transmit_interrupt(bool enabled);

    // True if the device asks for an interrupt. Asking takes back that of the transmitter.
    Result<bool> asks_for_interrupt() const;

private:
    Result<void> write(uint64_t port, uint64_t value) const {
        return ports_.write_value(port, 1, value);
    }

    PortsReference ports_;
    bool transmit_interrupt_ = false;
};

}  // namespace annulus::serial
