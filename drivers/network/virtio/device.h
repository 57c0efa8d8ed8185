// SPDX-License-Identifier: MIT
// The virtio network device: its registers, its features, starting and stopping it.
//
// Reference: virtio 1.2, chapters 3.1 (initialisation), 4.1 (PCI) and 5.1 (network).
#pragma once

#include "drivers/network/virtio/queue/registers.h"
#include "drivers/network/virtio/queue/split_queue.h"
#include "runtime/pci.h"

#include <array>

namespace annulus::virtio {

inline constexpr unsigned receive_queue = 0, transmit_queue = 1, queue_count = 2;
// Message interrupts: one for the queues, one for changes of the configuration.
inline constexpr unsigned interrupt_queues = 0, interrupt_config = 1, interrupt_count = 2;

class Device {
public:
    // Opens the device, which is reset then and does nothing, and lets it start DMA. The queues'
    // memory and the interrupts are made. not_supported: it lacks something that this driver needs.
    static Result<Device> open(const PciSlot& slot, BudgetReference budget,
                               ProcessReference process);

    // Negotiates, makes empty queues and lets the device go. The device fails: refused.
    Result<void> start();
    // Resets the device: when it returns, the device has given back all buffers and touches no
    // memory. timed_out: it does not answer, and must not be trusted with memory any more.
    Result<void> stop();

    SplitQueue& queue(unsigned index) { return *queues_[index]; }
    // Tells the device that a queue has new buffers.
    void notify(unsigned index) const;

    const std::array<uint8_t, 6>& address() const { return address_; }
    bool link_up() const;

    PciDeviceReference pci() const { return pci_; }
    InterruptReference interrupt(unsigned number) const { return interrupts_[number]; }

private:
    // Registers that are mapped.
    struct Area {
        uint64_t address = 0;
        uint64_t length = 0;
    };

    explicit Device(PciDevice pci) : pci_(std::move(pci)) {}

    Result<void> map_registers(ProcessReference process);
    Result<void> make_queue_memory(BudgetReference budget, ProcessReference process);
    Result<uint64_t> negotiate();
    Result<void> set_up_queue(unsigned index, bool event_index);
    void read_address();

    uint8_t read_status() const;
    void write_status(uint8_t status) const;
    uint64_t read_features() const;
    void write_features(uint64_t features) const;

    PciDevice pci_;
    Area common_, notify_, config_;
    uint32_t notify_multiplier_ = 0;
    std::array<Memory, 3> registers_;
    std::array<Interrupt, interrupt_count> interrupts_;
    Memory queue_memory_;
    uint64_t queue_address_ = 0;   // where it is mapped
    uint64_t queue_physical_ = 0;  // where the device sees it
    std::array<std::optional<SplitQueue>, queue_count> queues_;
    std::array<uint64_t, queue_count> notify_at_{};  // mapped addresses
    std::array<uint8_t, 6> address_{};
};

}  // namespace annulus::virtio
