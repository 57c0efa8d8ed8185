// SPDX-License-Identifier: MIT
// Configuration spaces in memory.
#include "services/pci/ecam.h"

#include "abi/limits.h"
#include "abi/operations.h"
#include "base/firmware_tables.h"

#include <utility>

namespace annulus::pci {

namespace {

constexpr uint64_t function_bytes = config_size;
constexpr uint64_t bus_bytes = function_bytes * 256;

template <typename T>
volatile T& register_at(uint64_t address) {
    // Safety: the caller's address lies in a mapped window and is aligned.
    return *reinterpret_cast<volatile T*>(address);
}

}  // namespace

Result<EcamWindow> read_window(std::span<const std::byte> firmware) {
    constexpr size_t first_entry = 44, entry_size = 16;
    const auto tables = FirmwareTables::open(firmware);
    if (!tables) return Error::wrong_version;
    const auto table = tables->find("MCFG");
    if (table.size() < first_entry + entry_size) return Error::not_found;
    EcamWindow window;
    __builtin_memcpy(&window.base, table.data() + first_entry, sizeof(window.base));
    window.first_bus = static_cast<uint8_t>(table[first_entry + 10]);
    window.last_bus = static_cast<uint8_t>(table[first_entry + 11]);
    const bool fits = window.base <= ~uint64_t{0} - buses_max * bus_bytes;
    if (window.base == 0 || window.base % bus_bytes != 0 || !fits ||
        window.last_bus < window.first_bus) {
        return Error::not_found;
    }
    return window;
}

uint32_t MappedSpace::read(uint32_t offset, uint32_t width) {
    switch (width) {
        case 1: return register_at<uint8_t>(address_ + offset);
        case 2: return register_at<uint16_t>(address_ + offset);
        default: return register_at<uint32_t>(address_ + offset);
    }
}

void MappedSpace::write(uint32_t offset, uint32_t width, uint32_t value) {
    switch (width) {
        case 1: register_at<uint8_t>(address_ + offset) = static_cast<uint8_t>(value); break;
        case 2: register_at<uint16_t>(address_ + offset) = static_cast<uint16_t>(value); break;
        default: register_at<uint32_t>(address_ + offset) = value; break;
    }
}

Result<void> Ecam::map(unsigned bus) {
    const uint64_t base = window_.base + bus * bus_bytes;
    Memory memory = TRY(hardware_.create_registers(budget_, base, bus_bytes));
    buses_[bus].address =
        TRY(process_.map(memory, 0, bus_bytes, 0, abi::map_read | abi::map_write));
    buses_[bus].memory = std::move(memory);
    return {};
}

ConfigSpace* Ecam::space(unsigned bus, unsigned device, unsigned function) {
    if (bus < window_.first_bus || bus > window_.last_bus) return nullptr;
    if (buses_[bus].address == 0 && !map(bus).ok()) return nullptr;
    current_ = keep(static_cast<uint16_t>(bus << 8 | device << 3 | function));
    return &current_;
}

MappedSpace Ecam::keep(uint16_t address) {
    return MappedSpace(buses_[address >> 8].address + (address & 0xff) * function_bytes);
}

}  // namespace annulus::pci
