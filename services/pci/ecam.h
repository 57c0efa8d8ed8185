// SPDX-License-Identifier: MIT
// Configuration spaces in memory: the window that the firmware's table MCFG describes (PCI Firmware
// 3.0, 4.1.2), 4 KiB for each function.
#pragma once

#include "generated/objects.h"
#include "services/pci/config/bus_walk.h"

#include <array>
#include <cstddef>
#include <span>

namespace annulus::pci {

// What MCFG says about the first segment.
struct EcamWindow {
    uint64_t base = 0;  // physical address of bus 0, whether or not it is in the window
    uint8_t first_bus = 0;
    uint8_t last_bus = 0;
};

// not_found: the memory of abi/firmware.h has no such table, or none that makes sense.
Result<EcamWindow> read_window(std::span<const std::byte> firmware);

// A function's space, seen through mapped memory.
class MappedSpace final : public ConfigSpace {
public:
    MappedSpace() = default;
    explicit MappedSpace(uint64_t address) : address_(address) {}

    uint32_t read(uint32_t offset, uint32_t width) override;
    void write(uint32_t offset, uint32_t width, uint32_t value) override;

private:
    uint64_t address_ = 0;
};

// Maps buses one by one, each when it is first asked for. Buses without functions can be let go.
class Ecam {
public:
    Ecam(HardwareReference hardware, BudgetReference budget, ProcessReference process,
         const EcamWindow& window)
        : hardware_(hardware), budget_(budget), process_(process), window_(window) {}

    // For walk_buses; the space is good until the next call.
    ConfigSpace* space(unsigned bus, unsigned device, unsigned function);
    // For keeping.
    MappedSpace keep(uint16_t address);

private:
    struct Bus {
        Memory memory;
        uint64_t address = 0;  // 0: not mapped
    };
    Result<void> map(unsigned bus);

    HardwareReference hardware_;
    BudgetReference budget_;
    ProcessReference process_;
    EcamWindow window_;
    std::array<Bus, buses_max> buses_;
    MappedSpace current_;
};

}  // namespace annulus::pci
