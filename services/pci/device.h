// SPDX-License-Identifier: MIT
// A device of the machine, and the session of the driver that has it.
//
// A session owns everything that its driver was handed: register memory, interrupts, memory that
// the device may reach. Its end comes with the last handle to it, so also with the driver's death:
//   1. the device loses the right to start DMA, and what it sent before has arrived
//   2. it raises no interrupts any more
//   3. it is reset, if it can be
//   4. only then is the memory let go
// Register memory is claimed from the hardware factory by each session anew. While a driver of an
// earlier session still maps some, the factory answers busy: no two drivers have one device.
#pragma once

#include "abi/pci.h"
#include "runtime/server.h"
#include "services/pci/ecam.h"

#include <array>
#include <memory>
#include <string_view>

namespace annulus::pci {

class Session;

inline constexpr unsigned devices_max = 128;

// What sessions need to make objects.
struct Workshop {
    HardwareReference hardware;
    BudgetReference budget;
    ProcessReference process;
    const Server& server;
};

struct Device {
    uint16_t address = 0;
    Function function;
    MappedSpace space;
    Session* session = nullptr;  // the one that has it
    uint64_t ready_at = 0;       // it was reset, and may not be touched before this time
};

// All devices of the machine; it does not change after the start.
class DeviceList {
public:
    // False: there is no room.
    bool add(uint16_t address, const Function& function, const MappedSpace& space);
    std::span<Device> all() { return std::span(devices_).first(count_); }
    // The device at a path (abi/pci.h), or null.
    Device* find(std::string_view path);
    // True if a page of `device`'s BAR holds registers of another device, too.
    bool shares_registers(const Device& device, unsigned bar);

private:
    std::array<Device, devices_max> devices_;
    unsigned count_ = 0;
};

abi::PciRecord record_of(const Device& device);

class Session final : public ServedByThis {
public:
    // A session for the client of `request`, who pays for its record. busy: the device has one;
    // no_memory, no_budget.
    static Result<Served> open(Workshop& workshop, DeviceList& devices, Device& device,
                               uint64_t request);

    Answer handle(Request& request) override;
    void closed() override;

    Session(Workshop& workshop, DeviceList& devices, Device& device)
        : workshop_(workshop), devices_(devices), device_(device) {}

private:
    // Memory that the device may reach: mapped here, so that its pages stay whoever else goes.
    struct Shared {
        uint64_t address = 0;  // 0: free
        uint64_t bytes = 0;
    };

    Answer info(const Request& request) const;
    Answer read_config(const Request& request);
    Answer map_registers(const Request& request);
    Answer create_interrupt(const Request& request);
    Answer share(Request& request);
    Answer remove(const Request& request);
    Answer set_dma(const Request& request);

    Result<MemoryReference> registers(unsigned bar);
    Result<volatile uint32_t*> message_entry(unsigned entry);
    Result<Interrupt> make_interrupt(unsigned entry, uint64_t cpu);
    void stop_device();

    Workshop& workshop_;
    DeviceList& devices_;
    Device& device_;
    std::array<Memory, bars_max> registers_;
    uint64_t message_table_ = 0;  // mapped address, 0: not mapped
    uint64_t message_pages_ = 0;
    std::array<Interrupt, abi::pci_interrupts_max> interrupts_;
    std::array<Shared, abi::pci_shared_max> shared_;
};

}  // namespace annulus::pci
