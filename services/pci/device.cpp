// SPDX-License-Identifier: MIT
// What a driver can do with its device.
#include "services/pci/device.h"

#include "abi/operations.h"
#include "base/align.h"
#include "runtime/clock.h"
#include "runtime/protocol.h"
#include "services/pci/config/device_path.h"

#include <algorithm>
#include <new>

namespace annulus::pci {

namespace {

constexpr uint64_t page = abi::page_size;
constexpr abi::Rights driver_register_rights =
    abi::right_of(abi::Verb::read) | abi::right_of(abi::Verb::write) |
    abi::right_of(abi::Verb::get) | abi::right_of(abi::Verb::map);

// Words of an entry of the message table (PCI 3.0, 6.8.2).
constexpr unsigned entry_address = 0, entry_upper = 1, entry_data = 2, entry_control = 3;
constexpr uint32_t entry_masked = 1;

// How long a function may not be touched after its reset (PCI Express 3.0, 6.6.2).
constexpr uint64_t reset_ns = 100'000'000;

// The pages that a BAR lies in.
struct Pages {
    uint64_t begin, length;
};
Pages pages_of(const Bar& bar) {
    const uint64_t begin = align_down(bar.address, page);
    return {begin, align_up(bar.address + bar.size, page) - begin};
}

}  // namespace

bool DeviceList::add(uint16_t address, const Function& function, const MappedSpace& space) {
    if (count_ == devices_max) return false;
    devices_[count_++] = {address, function, space, nullptr, 0};
    return true;
}

Device* DeviceList::find(std::string_view text) {
    const auto path = DevicePath::parse(text);
    if (!path) return nullptr;
    uint32_t before = path->index();
    for (Device& device : all()) {
        if (path->matches(device.address, device.function) && before-- == 0) return &device;
    }
    return nullptr;
}

bool DeviceList::shares_registers(const Device& device, unsigned bar) {
    for (const Device& other : all()) {
        if (&other == &device) continue;
        for (const Bar& theirs : other.function.bars) {
            if (device.function.bars[bar].shares_page_with(theirs)) return true;
        }
    }
    return false;
}

abi::PciRecord record_of(const Device& device) {
    const Function& function = device.function;
    return {.address = device.address,
            .vendor = function.vendor,
            .device = function.device,
            .subsystem_vendor = function.subsystem_vendor,
            .subsystem = function.subsystem,
            .class_code = function.class_code,
            .subclass = function.subclass,
            .interface = function.interface,
            .revision = function.revision,
            .reserved = 0};
}

Result<Served> Session::open(Workshop& workshop, DeviceList& devices, Device& device,
                             uint64_t request) {
    if (device.session != nullptr || now() < device.ready_at) return Error::busy;
    std::unique_ptr<Session> session(new (std::nothrow) Session(workshop, devices, device));
    if (session == nullptr) return Error::no_memory;
    Served handle = TRY(workshop.server.make_object(*session, abi::all_rights, request));
    device.session = session.release();
    restore_bars(device.space, device.function);
    constexpr uint16_t on = command_memory | command_no_line;
    set_command_bits(device.space, on, command_dma);
    return handle;
}

Answer Session::handle(Request& request) {
    using abi::Verb;
    if (request.is(Verb::get, abi::pci_get_info)) return info(request);
    if (request.is(Verb::read, abi::pci_read_config)) return read_config(request);
    if (request.is(Verb::map, abi::pci_map_registers)) return map_registers(request);
    if (request.is(Verb::create, abi::pci_create_interrupt)) return create_interrupt(request);
    if (request.is(Verb::share, abi::pci_share_memory)) return share(request);
    if (request.is(Verb::remove, abi::pci_remove_memory)) return remove(request);
    if (request.is(Verb::set, abi::pci_set_dma)) return set_dma(request);
    if (request.is(Verb::get, abi::get_protocol)) {
        return Answer::with_words(abi::Protocol::pci_device, abi::pci_version,
                                  request.block_bytes());
    }
    return Error::bad_operation;
}

Answer Session::info(const Request& request) const {
    if (!request.no_words_but(0)) return Error::bad_argument;
    const Function& function = device_.function;
    abi::PciDeviceInfo info{};
    info.record = record_of(device_);
    for (unsigned i = 0; i < bars_max; ++i) {
        const Bar& bar = function.bars[i];
        info.bars[i] = {.size = bar.size,
                        .address = bar.address,
                        .kind = static_cast<abi::PciBarKind>(bar.kind),
                        .reserved = 0};
    }
    info.interrupts = function.messages.entries;
    info.resets = function.reset != ResetKind::none ? 1 : 0;
    return answer_record(request, info);
}

Answer Session::read_config(const Request& request) {
    if (!request.no_words_but(0x1)) return Status(Error::bad_argument, 1);
    const uint64_t offset = request.word(0);
    if (offset >= config_size) return Error::out_of_range;
    const auto space = request.space();
    const size_t count = std::min<size_t>(space.size(), config_size - offset);
    for (size_t i = 0; i < count; ++i) {
        const auto at = static_cast<uint32_t>(offset + i);
        space[i] = static_cast<std::byte>(device_.space.read(at, 1));
    }
    return Answer::with_bytes(count);
}

// The memory of a whole BAR, claimed at first use.
Result<MemoryReference> Session::registers(unsigned index) {
    const Bar& bar = device_.function.bars[index];
    if (bar.kind != Bar::Kind::memory) return Error::out_of_range;
    if (!bar.is_memory()) return Error::not_supported;
    if (registers_[index].empty()) {
        if (devices_.shares_registers(device_, index)) return Error::permission;
        const Pages pages = pages_of(bar);
        registers_[index] =
            TRY(workshop_.hardware.create_registers(workshop_.budget, pages.begin, pages.length));
    }
    return MemoryReference(registers_[index]);
}

Answer Session::map_registers(const Request& request) {
    const uint64_t index = request.word(0);
    const uint64_t offset = request.word(1);
    const uint64_t length = request.word(2);
    if (!request.no_words_but(0x7)) return Status(Error::bad_argument, 3);
    if (index >= bars_max) return Error::out_of_range;
    const auto number = static_cast<unsigned>(index);
    const Bar& bar = device_.function.bars[number];
    if (length == 0 || !range_fits(offset, length, bar.size)) return Error::out_of_range;
    if (device_.function.messages.overlaps(number, offset, length)) return Error::permission;
    const auto whole = registers(number);
    if (!whole.ok()) return whole.status();
    const uint64_t begin = bar.address % page + offset;
    const uint64_t first = align_down(begin, page);
    const uint64_t count = (align_up(begin + length, page) - first) / page;
    auto part = whole->create_range(workshop_.budget, first, count);
    if (!part.ok()) return part.status();
    auto handed = part->get_duplicate(driver_register_rights, 0);
    if (!handed.ok()) return handed.status();
    Answer answer = Answer::with_words(0, begin - first);
    return answer.give(0, std::move(handed->handle));
}

// The words of an entry of the message table. The table's pages are mapped at first use.
Result<volatile uint32_t*> Session::message_entry(unsigned entry) {
    const MessageTable& messages = device_.function.messages;
    const Bar& bar = device_.function.bars[messages.table_bar];
    const uint64_t begin = bar.address % page + messages.table_offset;
    const uint64_t first = align_down(begin, page);
    if (message_table_ == 0) {
        const MemoryReference memory = TRY(registers(messages.table_bar));
        const uint64_t end = begin + uint64_t{messages.entries} * message_entry_size;
        message_pages_ = align_up(end, page) - first;
        message_table_ = TRY(workshop_.process.map(memory, first, message_pages_, 0,
                                                   abi::map_read | abi::map_write));
    }
    const uint64_t address = message_table_ + begin % page + entry * message_entry_size;
    // Safety: the entry lies in the table, which was mapped, and the table in its BAR.
    return reinterpret_cast<volatile uint32_t*>(address);
}

Result<Interrupt> Session::make_interrupt(unsigned entry, uint64_t cpu) {
    volatile uint32_t* const words = TRY(message_entry(entry));
    auto made = TRY(workshop_.hardware.create_message_interrupt(workshop_.budget, cpu));
    auto handed = TRY(made.interrupt.get_duplicate(abi::all_rights, 0));
    words[entry_control] = entry_masked;
    words[entry_address] = static_cast<uint32_t>(made.address);
    words[entry_upper] = static_cast<uint32_t>(made.address >> 32);
    words[entry_data] = static_cast<uint32_t>(made.data);
    words[entry_control] = 0;
    // Entries that were not made keep the mask that a reset gave them.
    set_messages_enabled(device_.space, device_.function.messages, true);
    interrupts_[entry] = std::move(made.interrupt);
    return Interrupt(handed.handle.release());
}

Answer Session::create_interrupt(const Request& request) {
    if (!request.no_words_but(0x3)) return Status(Error::bad_argument, 2);
    const MessageTable& messages = device_.function.messages;
    if (!messages.present()) return Error::not_supported;
    if (request.word(0) >= messages.entries) return Error::out_of_range;
    if (request.word(0) >= abi::pci_interrupts_max) return Error::limit;
    const auto entry = static_cast<unsigned>(request.word(0));
    if (!interrupts_[entry].empty()) return Error::exists;
    auto made = make_interrupt(entry, request.word(1));
    if (!made.ok()) return made.status();
    return Answer::with_handle(std::move(*made));
}

Answer Session::share(Request& request) {
    const auto memory = request.peek_handle<MemoryReference>(0);
    if (memory.empty()) return Status(Error::bad_argument, 0);
    if (!request.no_words_but(0x1)) return Status(Error::bad_argument, 1);
    const auto free = std::find_if(shared_.begin(), shared_.end(),
                                   [](const Shared& one) { return one.address == 0; });
    if (free == shared_.end()) return Error::limit;
    if (const auto type = check_type(memory, abi::ObjectType::memory); !type.ok()) {
        return type.status();
    }
    // Only what cannot vanish or be replaced under the device.
    const auto size = memory.get_size();
    if (!size.ok()) return size.status();
    if ((size->flags & abi::memory_contiguous) == 0 || (size->flags & abi::memory_revocable) != 0) {
        return Error::wrong_state;
    }
    const auto physical = memory.get_physical();
    if (!physical.ok()) return physical.status();
    const uint64_t bytes = size->pages * page;
    const auto address = workshop_.process.map(memory, 0, bytes, 0, abi::map_read);
    if (!address.ok()) return address.status();
    *free = {*address, bytes};
    return Answer::with_words(*physical, static_cast<uint64_t>(free - shared_.begin()) + 1);
}

Answer Session::remove(const Request& request) {
    const uint64_t key = request.word(0);
    if (!request.no_words_but(0x1)) return Status(Error::bad_argument, 1);
    if (key == 0 || key > shared_.size() || shared_[key - 1].address == 0) {
        return Error::not_found;
    }
    Shared& shared = shared_[key - 1];
    const auto unmapped = workshop_.process.map_unmap(shared.address, shared.bytes);
    if (unmapped.ok()) shared = {};
    return unmapped;
}

Answer Session::set_dma(const Request& request) {
    if (request.word(0) > 1 || !request.no_words_but(0x1)) return Status(Error::bad_argument, 0);
    const bool on = request.word(0) == 1;
    set_command_bits(device_.space, on ? command_dma : 0, on ? 0 : command_dma);
    return {};
}

void Session::stop_device() {
    set_command_bits(device_.space, 0, command_dma);
    set_messages_enabled(device_.space, device_.function.messages, false);
    for (unsigned i = 0; i < interrupts_.size(); ++i) {
        if (interrupts_[i].empty()) continue;
        if (const auto entry = message_entry(i); entry.ok()) (*entry)[entry_control] = entry_masked;
    }
    if (device_.function.reset == ResetKind::none) return;
    begin_reset(device_.space, device_.function);
    device_.ready_at = now() + reset_ns;
}

void Session::closed() {
    stop_device();
    const ProcessReference process = workshop_.process;
    if (message_table_ != 0) {
        static_cast<void>(process.map_unmap(message_table_, message_pages_));
    }
    for (const Shared& shared : shared_) {
        if (shared.address == 0) continue;
        static_cast<void>(process.map_unmap(shared.address, shared.bytes));
    }
    device_.session = nullptr;
    delete this;
}

}  // namespace annulus::pci
