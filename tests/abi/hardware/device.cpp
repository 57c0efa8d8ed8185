// SPDX-License-Identifier: MIT
// QEMU's device for teaching.
#include "tests/abi/hardware/device.h"

#include "abi/operations.h"
#include "base/firmware_tables.h"

namespace annulus::test {

namespace {

constexpr uint32_t device_id = 0x11e81234;
constexpr uint64_t function_bytes = 4096, bus_bytes = function_bytes * 256;
constexpr unsigned devices = 32;
constexpr uint64_t register_bytes = 1 << 20;

// Configuration registers (PCI 3.0, 6.1 and 6.8.1).
constexpr uint32_t command_at = 4, bar_at = 0x10, first_capability_at = 0x34;
constexpr uint16_t command_memory_and_dma = 6;
constexpr uint8_t capability_message = 5;
constexpr unsigned capabilities_max = 48;

// Of the device: writing raises, or takes back, these bits of its interrupt status.
constexpr uint32_t raise_at = 0x60, lower_at = 0x64;

template <typename T>
volatile T& register_at(uint64_t address) {
    // Safety: the address lies in a mapping of registers.
    return *reinterpret_cast<volatile T*>(address);
}

}  // namespace

Result<RaisingDevice> RaisingDevice::open(HardwareReference hardware, BudgetReference budget,
                                          ProcessReference process,
                                          std::span<const std::byte> firmware) {
    const auto tables = FirmwareTables::open(firmware);
    if (!tables || tables->find("MCFG").size() < 60) return Error::not_found;
    uint64_t base = 0;
    __builtin_memcpy(&base, tables->find("MCFG").data() + 44, sizeof(base));
    constexpr uint64_t access = abi::map_read | abi::map_write;
    RaisingDevice device;
    device.config_ = TRY(hardware.create_registers(budget, base, bus_bytes));
    const uint64_t bus = TRY(process.map(device.config_, 0, bus_bytes, 0, access));
    for (unsigned i = 0; i < devices; ++i) {
        const uint64_t function = bus + i * 8 * function_bytes;
        if (register_at<uint32_t>(function) != device_id) continue;
        const uint64_t bar = register_at<uint32_t>(function + bar_at) & ~uint32_t{15};
        device.registers_ = TRY(hardware.create_registers(budget, bar, register_bytes));
        device.address_ = TRY(process.map(device.registers_, 0, register_bytes, 0, access));
        register_at<uint16_t>(function + command_at) = command_memory_and_dma;
        device.function_ = function;
        return device;
    }
    return Error::not_found;
}

// MSI with a 64-bit address.
Result<void> RaisingDevice::program(uint64_t address, uint64_t data) const {
    uint64_t at = register_at<uint8_t>(function_ + first_capability_at);
    for (unsigned i = 0; i < capabilities_max && at != 0; ++i) {
        const uint64_t capability = function_ + at;
        if (register_at<uint8_t>(capability) == capability_message) {
            register_at<uint32_t>(capability + 4) = static_cast<uint32_t>(address);
            register_at<uint32_t>(capability + 8) = static_cast<uint32_t>(address >> 32);
            register_at<uint16_t>(capability + 12) = static_cast<uint16_t>(data);
            register_at<uint16_t>(capability + 2) = 1;
            return {};
        }
        at = register_at<uint8_t>(capability + 1);
    }
    return Error::not_supported;
}

void RaisingDevice::raise() const {
    register_at<uint32_t>(address_ + raise_at) = 1;
    register_at<uint32_t>(address_ + lower_at) = 1;
}

}  // namespace annulus::test
