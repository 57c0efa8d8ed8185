// SPDX-License-Identifier: MIT
// PCI devices by synchronous calls.
#include "runtime/pci.h"

#include "runtime/clock.h"
#include "runtime/semaphore.h"

namespace annulus {

namespace {

constexpr uint64_t moves_word_0 = 1;
constexpr Duration busy_pause = milliseconds(5);

// The handle that an answer moved here as word 0. A server that sends none broke the protocol.
Result<abi::Handle> handle_of(const system::CallAnswer& answer) {
    if (!answer.status.ok()) return answer.status;
    if ((answer.handle_mask & 1) == 0) return Error::faulted;
    return answer.words[0];
}

}  // namespace

Result<abi::PciDeviceInfo> PciDeviceReference::info() const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::get, abi::pci_get_info);
    abi::PciDeviceInfo info;
    const auto answer = system::call_buffer(value(), operation, system::buffer_out(info));
    if (!answer.status.ok()) return answer.status;
    if (answer.bytes_out < sizeof(info)) return Error::faulted;
    return info;
}

Result<size_t> PciDeviceReference::read_config(uint32_t offset, std::span<std::byte> bytes) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::read, abi::pci_read_config);
    const auto answer = system::call_buffer(value(), operation, system::buffer_out(bytes), offset);
    if (!answer.status.ok()) return answer.status;
    return static_cast<size_t>(answer.bytes_out);
}

Result<PciRegisters> PciDeviceReference::map_registers(unsigned bar, uint64_t offset,
                                                       uint64_t length) const {
    constexpr uint64_t operation =
        abi::operation_word(abi::Verb::map, abi::pci_map_registers) | abi::call_takes_handles;
    const auto answer = system::call_words(value(), operation, bar, offset, length);
    const abi::Handle memory = TRY(handle_of(answer));
    return PciRegisters{Memory(memory), answer.words[1]};
}

Result<Interrupt> PciDeviceReference::create_interrupt(unsigned number, unsigned cpu) const {
    constexpr uint64_t operation =
        abi::operation_word(abi::Verb::create, abi::pci_create_interrupt) | abi::call_takes_handles;
    return Interrupt(TRY(handle_of(system::call_words(value(), operation, number, cpu))));
}

Result<PciShared> PciDeviceReference::share_memory(MemoryReference memory) const {
    constexpr uint64_t operation =
        abi::operation_word(abi::Verb::share, abi::pci_share_memory, moves_word_0);
    constexpr abi::Rights rights = abi::right_of(abi::Verb::get) | abi::right_of(abi::Verb::map) |
                                   abi::right_of(abi::Verb::read);
    auto copy = TRY(memory.get_duplicate(rights, 0));
    const auto answer = system::call_words(value(), operation, copy.handle.value());
    settle_moved(answer, 0, copy.handle);
    if (!answer.status.ok()) return answer.status;
    return PciShared{answer.words[0], answer.words[1]};
}

Result<void> PciDeviceReference::remove_memory(uint64_t key) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::remove, abi::pci_remove_memory);
    return system::call_words(value(), operation, key).status;
}

Result<void> PciDeviceReference::set_dma(bool allowed) const {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::set, abi::pci_set_dma);
    return system::call_words(value(), operation, allowed ? 1 : 0).status;
}

Result<PciDevice> PciSlot::open(Deadline deadline) const {
    constexpr uint64_t operation =
        abi::operation_word(abi::Verb::open, abi::pci_open) | abi::call_takes_handles;
    for (;;) {
        const auto answer = system::call_words(value(), operation);
        if (answer.status.code() != Error::busy || now() >= deadline.at) {
            return PciDevice(TRY(handle_of(answer)));
        }
        const BinarySemaphore never = TRY(BinarySemaphore::create());
        static_cast<void>(wait_for(never.handle(), Deadline::after(busy_pause)));
    }
}

}  // namespace annulus
