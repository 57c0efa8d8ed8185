// SPDX-License-Identifier: MIT
// The virtio network device.
#include "drivers/network/virtio/device.h"

#include "abi/operations.h"
#include "base/align.h"
#include "runtime/clock.h"
#include "runtime/log.h"

#include <algorithm>

namespace annulus::virtio {

namespace {

// Device status (2.1).
constexpr uint8_t status_acknowledge = 1, status_driver = 2, status_driver_ok = 4;
constexpr uint8_t status_features_ok = 8;

// Features (5.1.3, 6).
constexpr uint64_t feature_address = uint64_t{1} << 5;
constexpr uint64_t feature_status = uint64_t{1} << 16;
constexpr uint64_t feature_event_index = uint64_t{1} << 29;
constexpr uint64_t feature_version_1 = uint64_t{1} << 32;
constexpr uint64_t features_needed = feature_version_1 | feature_address;
constexpr uint64_t features_used = features_needed | feature_status | feature_event_index;

constexpr uint16_t no_vector = 0xffff;

// For opening: an earlier driver may just be dying. For a reset: QEMU answers at once.
constexpr Duration open_patience = seconds(5);
constexpr Duration reset_patience = seconds(1);

// Each queue begins on a page of its own.
constexpr uint64_t queue_stride =
    align_up(SplitQueue::layout(queue_size_max).length, abi::page_size);

template <typename T>
volatile T& register_at(uint64_t address) {
    // Safety: the address lies in registers that are mapped, and is aligned.
    return *reinterpret_cast<volatile T*>(address);
}

void write_wide(uint64_t address, uint64_t value) {
    register_at<uint32_t>(address) = static_cast<uint32_t>(value);
    register_at<uint32_t>(address + 4) = static_cast<uint32_t>(value >> 32);
}

}  // namespace

Result<Device> Device::open(const PciSlot& slot, BudgetReference budget, ProcessReference process) {
    Device device(TRY(slot.open(Deadline::after(open_patience))));
    TRY(device.map_registers(process));
    TRY(device.stop());
    TRY(device.make_queue_memory(budget, process));
    for (unsigned i = 0; i < interrupt_count; ++i) {
        device.interrupts_[i] = TRY(device.pci_.create_interrupt(i, 0));
    }
    TRY(device.negotiate());
    device.read_address();
    TRY(device.stop());
    TRY(device.pci_.set_dma(true));
    return device;
}

Result<void> Device::map_registers(ProcessReference process) {
    std::array<std::byte, 256> config{};
    const size_t read = TRY(pci_.read_config(0, config));
    const auto areas = find_registers(std::span(config).first(read));
    if (!areas) return Error::not_supported;
    notify_multiplier_ = areas->notify_multiplier;
    const RegisterArea wanted[] = {areas->common, areas->notify, areas->device};
    Area* const mapped[] = {&common_, &notify_, &config_};
    for (unsigned i = 0; i < registers_.size(); ++i) {
        const RegisterArea& area = wanted[i];
        auto part = TRY(pci_.map_registers(area.bar, area.offset, area.length));
        registers_[i] = std::move(part.memory);
        const uint64_t bytes = align_up(part.offset + area.length, abi::page_size);
        const uint64_t address =
            TRY(process.map(registers_[i], 0, bytes, 0, abi::map_read | abi::map_write));
        *mapped[i] = {address + part.offset, area.length};
    }
    return {};
}

Result<void> Device::make_queue_memory(BudgetReference budget, ProcessReference process) {
    constexpr uint64_t bytes = queue_count * queue_stride;
    queue_memory_ = TRY(budget.create_memory(bytes / abi::page_size, abi::memory_contiguous));
    queue_address_ = TRY(process.map(queue_memory_, 0, bytes, 0, abi::map_read | abi::map_write));
    queue_physical_ = TRY(pci_.share_memory(queue_memory_)).address;
    return {};
}

uint8_t Device::read_status() const {
    return register_at<uint8_t>(common_.address + common::status);
}
void Device::write_status(uint8_t status) const {
    register_at<uint8_t>(common_.address + common::status) = status;
}

uint64_t Device::read_features() const {
    uint64_t features = 0;
    for (uint32_t half = 0; half < 2; ++half) {
        register_at<uint32_t>(common_.address + common::device_feature_select) = half;
        const uint32_t bits = register_at<uint32_t>(common_.address + common::device_feature);
        features |= uint64_t{bits} << 32 * half;
    }
    return features;
}

void Device::write_features(uint64_t features) const {
    for (uint32_t half = 0; half < 2; ++half) {
        register_at<uint32_t>(common_.address + common::driver_feature_select) = half;
        register_at<uint32_t>(common_.address + common::driver_feature) =
            static_cast<uint32_t>(features >> 32 * half);
    }
}

// Up to the point where device and driver agree. The features in use.
Result<uint64_t> Device::negotiate() {
    write_status(status_acknowledge);
    write_status(status_acknowledge | status_driver);
    const uint64_t offered = read_features();
    if ((offered & features_needed) != features_needed) return Error::not_supported;
    write_features(offered & features_used);
    constexpr uint8_t agreed = status_acknowledge | status_driver | status_features_ok;
    write_status(agreed);
    if (read_status() != agreed) return Error::not_supported;
    return offered & features_used;
}

void Device::read_address() {
    for (uint32_t i = 0; i < address_.size(); ++i) {
        address_[i] = register_at<uint8_t>(config_.address + network::address + i);
    }
}

bool Device::link_up() const {
    // Without feature_status the field reads as anything: QEMU always offers it.
    const uint16_t status = register_at<uint16_t>(config_.address + network::status);
    return (status & network::status_link_up) != 0;
}

Result<void> Device::set_up_queue(unsigned index, bool event_index) {
    const uint64_t at = common_.address;
    register_at<uint16_t>(at + common::queue_select) = static_cast<uint16_t>(index);
    const uint32_t most = register_at<uint16_t>(at + common::queue_size);
    const uint32_t size = std::min(most, queue_size_max);
    // Safety: the queue's part of the memory that this object mapped.
    const auto memory = UntrustedBytes::at_address(
        reinterpret_cast<void*>(queue_address_ + index * queue_stride), queue_stride);
    const uint64_t physical = queue_physical_ + index * queue_stride;
    const Access access = index == receive_queue ? Access::device_writes : Access::device_reads;
    queues_[index] = SplitQueue::create(memory, physical, size, access, event_index);
    if (!queues_[index]) return Error::not_supported;
    const uint64_t offset =
        uint64_t{register_at<uint16_t>(at + common::queue_notify_offset)} * notify_multiplier_;
    if (offset % 2 != 0 || !range_fits(offset, 2, notify_.length)) return Error::not_supported;
    notify_at_[index] = notify_.address + offset;
    register_at<uint16_t>(at + common::queue_size) = static_cast<uint16_t>(size);
    register_at<uint16_t>(at + common::queue_vector) = interrupt_queues;
    if (register_at<uint16_t>(at + common::queue_vector) == no_vector) return Error::refused;
    const auto layout = SplitQueue::layout(size);
    write_wide(at + common::queue_descriptors, physical);
    write_wide(at + common::queue_available, physical + layout.available);
    write_wide(at + common::queue_used, physical + layout.used);
    register_at<uint16_t>(at + common::queue_enable) = 1;
    return {};
}

Result<void> Device::start() {
    const uint64_t features = TRY(negotiate());
    for (unsigned i = 0; i < queue_count; ++i) {
        TRY(set_up_queue(i, (features & feature_event_index) != 0));
    }
    register_at<uint16_t>(common_.address + common::config_vector) = interrupt_config;
    constexpr uint8_t running =
        status_acknowledge | status_driver | status_features_ok | status_driver_ok;
    write_status(running);
    return read_status() == running ? Result<void>() : Result<void>(Error::refused);
}

Result<void> Device::stop() {
    write_status(0);
    const Deadline deadline = Deadline::after(reset_patience);
    while (read_status() != 0) {
        if (now() >= deadline.at) return Error::timed_out;
    }
    return {};
}

void Device::notify(unsigned index) const {
    register_at<uint16_t>(notify_at_[index]) = static_cast<uint16_t>(index);
}

}  // namespace annulus::virtio
