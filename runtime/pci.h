// SPDX-License-Identifier: MIT
// PCI devices behind a handle, by synchronous calls: for drivers. The protocol is abi/pci.h.
#pragma once

#include "abi/pci.h"
#include "base/result.h"
#include "generated/objects.h"
#include "runtime/deadline.h"

#include <cstddef>
#include <span>
#include <string_view>

namespace annulus {

// Registers of a device.
struct PciRegisters {
    Memory memory;
    uint64_t offset = 0;  // of the first byte that was asked for
};

// Memory that the device may reach.
struct PciShared {
    uint64_t address = 0;  // physical
    uint64_t key = 0;      // for remove_memory
};

// Names a session with a device. Does not own the handle.
class PciDeviceReference : public ServedReference {
public:
    using Reference = PciDeviceReference;
    using ServedReference::ServedReference;

    Result<abi::PciDeviceInfo> info() const;
    // Bytes of the configuration space from `offset` on; as many as there are.
    Result<size_t> read_config(uint32_t offset, std::span<std::byte> bytes) const;
    Result<PciRegisters> map_registers(unsigned bar, uint64_t offset, uint64_t length) const;
    Result<Interrupt> create_interrupt(unsigned number, unsigned cpu) const;
    // The manager gets a handle of its own: with the rights get and map, that `memory` must have.
    Result<PciShared> share_memory(MemoryReference memory) const;
    Result<void> remove_memory(uint64_t key) const;
    Result<void> set_dma(bool allowed) const;
};
using PciDevice = Owned<PciDeviceReference>;

// Names a slot: where one device can be opened.
class PciSlot : public ServedReference {
public:
    using Reference = PciSlot;
    using ServedReference::ServedReference;

    // Tries until `deadline` while the device is busy: the driver that had it may just be dying.
    Result<PciDevice> open(Deadline deadline) const;
};

}  // namespace annulus
