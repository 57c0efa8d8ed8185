// SPDX-License-Identifier: MIT
// The PCI manager: the list of devices, and a driver's session with one.
#include "abi/operations.h"
#include "runtime/pci.h"
#include "tests/guest/harness.h"

#include <algorithm>
#include <array>

const char* const annulus::test::suite = "pci";

namespace annulus::test::cases {
namespace {

constexpr uint16_t vendor_virtio = 0x1af4, device_network = 0x1041;

// The deadline of an open: sessions end when the manager has seen their close notice.
Deadline soon() { return Deadline::after(seconds(5)); }

Result<PciDevice> open_device(const Context& test) {
    return TRY(test.environment().handle<PciSlot>("device")).open(soon());
}

struct Records {
    std::array<abi::PciRecord, 64> all{};
    size_t count = 0;
};

// A page of the list at a time.
Result<Records> list(const Context& test, size_t at_once) {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::list, abi::pci_list_devices);
    const auto bus = TRY(test.environment().handle<Served>("bus"));
    Records records;
    uint64_t cursor = 0;
    do {
        const auto room = std::span(records.all).subspan(records.count);
        const auto page = room.first(std::min(at_once, room.size()));
        const auto answer = system::call_buffer(
            bus.value(), operation, system::buffer_out(std::as_writable_bytes(page)), cursor);
        if (!answer.status.ok()) return answer.status;
        records.count += answer.bytes_out / sizeof(abi::PciRecord);
        cursor = answer.words[0];
    } while (cursor != 0);
    return records;
}

// The first memory BAR that does not hold the message table alone: its first bytes can be mapped.
Result<PciRegisters> map_some(PciDeviceReference device, const abi::PciDeviceInfo& info) {
    for (unsigned i = 0; i < 6; ++i) {
        if (info.bars[i].kind != abi::PciBarKind::memory) continue;
        auto mapped = device.map_registers(i, 0, 64);
        if (mapped.ok() || mapped.error() != Error::permission) return mapped;
    }
    return Error::not_found;
}

}  // namespace
}  // namespace annulus::test::cases

TEST(list, "the bus lists every device once, in pages of any size") {
    const auto whole = MUST(list(test, 64));
    EXPECT(whole.count >= 3);
    const auto single = MUST(list(test, 1));
    EXPECT_EQ(single.count, whole.count);
    unsigned networks = 0;
    for (size_t i = 0; i < whole.count; ++i) {
        EXPECT_EQ(single.all[i].address, whole.all[i].address);
        const auto& record = whole.all[i];
        if (record.vendor == vendor_virtio && record.device == device_network) ++networks;
        for (size_t j = 0; j < i; ++j) EXPECT(whole.all[j].address != record.address);
    }
    EXPECT_EQ(networks, 1);
    EXPECT_ERROR(list(test, 0), Error::too_many);
}

TEST(open, "a slot opens its device, one session at a time") {
    const auto slot = MUST(test.environment().handle<PciSlot>("device"));
    auto device = MUST(open_device(test));
    const auto info = MUST(device.info());
    EXPECT_EQ(info.record.vendor, vendor_virtio);
    EXPECT_EQ(info.record.device, device_network);
    EXPECT_EQ(info.record.class_code, 2);
    EXPECT_ERROR(slot.open(Deadline::poll()), Error::busy);
    device.close();
    EXPECT_OK(slot.open(soon()));
}

TEST(absent, "a slot whose device is not there says so, and so do paths that lead nowhere") {
    const auto slot = MUST(test.environment().handle<PciSlot>("nothing"));
    EXPECT_ERROR(slot.open(Deadline::poll()), Error::not_found);
    const auto bus = MUST(test.environment().handle<PciSlot>("bus"));
    EXPECT_ERROR(bus.open(Deadline::poll()), Error::not_found);
}

TEST(config, "the configuration space can be read, and nothing beyond it") {
    const auto device = MUST(open_device(test));
    std::array<std::byte, 64> bytes{};
    EXPECT_EQ(MUST(device.read_config(0, bytes)), bytes.size());
    EXPECT_EQ(static_cast<unsigned>(bytes[0]), vendor_virtio & 0xff);
    EXPECT_EQ(MUST(device.read_config(4090, bytes)), 6);
    EXPECT_ERROR(device.read_config(4096, bytes), Error::out_of_range);
}

TEST(registers, "registers are mapped in part, never with the message table") {
    const auto device = MUST(open_device(test));
    const auto info = MUST(device.info());
    EXPECT(info.interrupts >= 2);
    unsigned refused = 0;
    unsigned memory = 0;
    for (unsigned i = 0; i < 6; ++i) {
        EXPECT_ERROR(device.map_registers(i, 0, 0), Error::out_of_range);
        EXPECT_ERROR(device.map_registers(i, info.bars[i].size, 1), Error::out_of_range);
        EXPECT_ERROR(device.map_registers(i, ~uint64_t{0}, 2), Error::out_of_range);
        if (info.bars[i].kind != abi::PciBarKind::memory) continue;
        ++memory;
        const auto whole = device.map_registers(i, 0, info.bars[i].size);
        if (!whole.ok() && whole.error() == Error::permission) ++refused;
    }
    EXPECT_EQ(refused, 1);
    EXPECT(memory >= 2);
    const auto some = MUST(map_some(device, info));
    const uint64_t address =
        MUST(test.process().map(some.memory, 0, abi::page_size, 0, abi::map_read | abi::map_write));
    EXPECT_OK(test.process().map_unmap(address, abi::page_size));
}

TEST(held, "registers that an earlier session's driver still maps are not handed out again") {
    auto device = MUST(open_device(test));
    const auto info = MUST(device.info());
    auto held = MUST(map_some(device, info));
    device.close();
    device = MUST(open_device(test));
    EXPECT_ERROR(map_some(device, info), Error::busy);
    held.memory.close();
    EXPECT_OK(map_some(device, info));
}

TEST(interrupts, "each interrupt of a device is made once in a session") {
    auto device = MUST(open_device(test));
    const auto info = MUST(device.info());
    const auto first = MUST(device.create_interrupt(0, 0));
    EXPECT_ERROR(device.create_interrupt(0, 0), Error::exists);
    EXPECT_OK(device.create_interrupt(1, 0));
    EXPECT_ERROR(device.create_interrupt(info.interrupts, 0), Error::out_of_range);
    EXPECT_ERROR(device.create_interrupt(2, abi::cpus_max), Error::out_of_range);
    device.close();
    device = MUST(open_device(test));
    EXPECT_OK(device.create_interrupt(0, 0));
}

TEST(share, "only contiguous memory is shared with a device, and it is given back") {
    const auto device = MUST(open_device(test));
    const auto scattered = MUST(test.budget().create_memory(2, 0));
    EXPECT_ERROR(device.share_memory(scattered), Error::wrong_state);
    // Whoever asked this object anything would wait for ever: nobody serves it.
    const auto silent = MUST(test.budget().create_table(4, 0, {}, 0));
    const auto object = MUST(silent.create_object(1, abi::all_rights, 0));
    EXPECT_ERROR(device.share_memory(MemoryReference(object.value())), Error::wrong_type);
    const auto memory = MUST(test.budget().create_memory(2, abi::memory_contiguous));
    const auto shared = MUST(device.share_memory(memory));
    EXPECT_EQ(shared.address, MUST(memory.get_physical()));
    EXPECT_OK(device.remove_memory(shared.key));
    EXPECT_ERROR(device.remove_memory(shared.key), Error::not_found);
    EXPECT_ERROR(device.remove_memory(0), Error::not_found);
    EXPECT_ERROR(device.remove_memory(~uint64_t{0}), Error::not_found);
    for (unsigned i = 0; i < abi::pci_shared_max; ++i) EXPECT_OK(device.share_memory(memory));
    // pci_shared_max + 1
    EXPECT_ERROR(device.share_memory(memory), Error::limit);
}

TEST(dma, "the right to start DMA is set, and goes with the session") {
    auto device = MUST(open_device(test));
    std::array<std::byte, 2> command{};
    const auto may = [&]() -> Result<bool> {
        TRY(device.read_config(4, command));
        return (static_cast<unsigned>(command[0]) & 4) != 0;
    };
    EXPECT(!MUST(may()));
    EXPECT_OK(device.set_dma(true));
    EXPECT(MUST(may()));
    device.close();
    device = MUST(open_device(test));
    EXPECT(!MUST(may()));
}
