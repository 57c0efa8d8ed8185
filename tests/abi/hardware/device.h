// SPDX-License-Identifier: MIT
// QEMU's device for teaching (docs/specs/edu): it raises an interrupt when it is told to.
#pragma once

#include "base/result.h"
#include "generated/objects.h"

#include <cstddef>
#include <span>

namespace annulus::test {

class RaisingDevice {
public:
    // Finds it on the first bus. not_found: the machine has none.
    static Result<RaisingDevice> open(HardwareReference hardware, BudgetReference budget,
                                      ProcessReference process,
                                      std::span<const std::byte> firmware);
    constexpr bool is_open() const { return address_ != 0; }

    // From now on it interrupts by this message. not_supported: it cannot.
    Result<void> program(uint64_t address, uint64_t data) const;

    // Sends the message once.
    void raise() const;

private:
    Memory config_;
    Memory registers_;
    uint64_t function_ = 0;  // where its configuration space is mapped
    uint64_t address_ = 0;   // and its registers
};

}  // namespace annulus::test
