// SPDX-License-Identifier: MIT
// The PCI manager: finds the machine's devices and hands each to one driver.
//
// It is handed `hardware`, `firmware` and `budget`. Each argument "name=path" publishes a slot: the
// device at the path (abi/pci.h), to be opened by whoever is given `name`. "name=*" publishes the
// whole bus.
#include "abi/operations.h"
#include "runtime/directory.h"
#include "runtime/program.h"
#include "services/pci/device.h"

#include <algorithm>
#include <memory>
#include <new>

namespace annulus::pci {
namespace {

constexpr unsigned slots = 16;
constexpr size_t block_bytes = 4096;
constexpr unsigned published_max = 16;
constexpr abi::Rights opener_rights =
    abi::right_of(abi::Verb::open) | abi::right_of(abi::Verb::list) | abi::right_of(abi::Verb::get);

// Too large for a stack.
constinit DeviceList devices;

std::string_view text_of(std::span<const std::byte> bytes) {
    // Safety: any bytes may be looked at as characters.
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The whole bus (no path of its own) or a slot.
class Opener final : public ServedByThis {
public:
    Opener() = default;
    Opener(Workshop& workshop, std::string_view path) : workshop_(&workshop), path_(path) {}

    Answer handle(Request& request) override {
        if (request.is(abi::Verb::open, abi::pci_open)) return open(request);
        if (path_.empty() && request.is(abi::Verb::list, abi::pci_list_devices)) {
            return list(request);
        }
        if (request.is(abi::Verb::get, abi::get_protocol)) {
            return Answer::with_words(abi::Protocol::pci, abi::pci_version, request.block_bytes());
        }
        return Error::bad_operation;
    }

private:
    Answer open(const Request& request) {
        for (unsigned i = 0; i < abi::message_words; ++i) {
            if (request.word(i) != 0) return Status(Error::bad_argument, static_cast<uint16_t>(i));
        }
        const std::string_view path = text_of(request.bytes());
        if (!path_.empty() && !path.empty()) return Error::not_found;
        Device* const device = devices.find(path_.empty() ? path : path_);
        if (device == nullptr) return Error::not_found;
        auto session = Session::open(*workshop_, devices, *device, request.id());
        if (!session.ok()) return session.status();
        Answer answer = Answer::with_words(0, path.size());
        return answer.give(0, std::move(*session));
    }

    static Answer list(const Request& request) {
        const auto all = devices.all();
        const uint64_t cursor = request.word(0);
        if (cursor > all.size()) return Status(Error::bad_argument, 0);
        const auto space = request.space();
        size_t count = std::min(space.size() / sizeof(abi::PciRecord), all.size() - cursor);
        for (size_t i = 0; i < count; ++i) {
            const abi::PciRecord record = record_of(all[cursor + i]);
            __builtin_memcpy(space.data() + i * sizeof(record), &record, sizeof(record));
        }
        const bool more = cursor + count < all.size();
        if (more && count == 0) return Error::too_many;
        Answer answer = Answer::with_words(more ? cursor + count : 0);
        return answer.add_bytes(count * sizeof(abi::PciRecord));
    }

    Workshop* workshop_ = nullptr;
    std::string_view path_;
};

constinit std::array<Opener, published_max> openers;

Result<std::span<const std::byte>> map_firmware(const Environment& environment,
                                                ProcessReference process) {
    const auto memory = TRY(environment.handle<Memory>("firmware"));
    const uint64_t bytes = TRY(memory.get_size()).pages * abi::page_size;
    const uint64_t address = TRY(process.map(memory, 0, bytes, 0, abi::map_read));
    // Safety: the kernel has just mapped these bytes, and nobody changes them.
    return std::span(reinterpret_cast<const std::byte*>(address), bytes);
}

void find_devices(Ecam& ecam, unsigned first, unsigned last) {
    walk_buses(ecam, first, last, [&](uint16_t address, const Function& function) {
        if (function.is_bridge) return;
        if (!devices.add(address, function, ecam.keep(address))) log("too many devices");
    });
}

Result<void> publish(const Environment& environment, Workshop& workshop) {
    const auto exports = TRY(environment.handle<Directory>(names::exports));
    unsigned used = 0;
    for (size_t i = 0; i < environment.argument_count(); ++i) {
        const std::string_view argument = environment.argument(i);
        const size_t sign = argument.find('=');
        if (sign == std::string_view::npos) return Error::bad_argument;
        if (used == published_max) return Error::too_many;
        const std::string_view path = argument.substr(sign + 1);
        if (path != "*" && devices.find(path) == nullptr) log("{}: no such device", argument);
        openers[used] = Opener(workshop, path == "*" ? std::string_view() : path);
        TRY(exports.publish(argument.substr(0, sign),
                            TRY(workshop.server.make_object(openers[used], opener_rights))));
        ++used;
    }
    return {};
}

Result<void> run(const Environment& environment) {
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    const auto process = TRY(environment.handle<Process>(names::process));
    const auto hardware = TRY(environment.handle<Hardware>("hardware"));
    const auto window = TRY(read_window(TRY(map_firmware(environment, process))));
    // Too large for a stack.
    const std::unique_ptr<Ecam> ecam(new (std::nothrow) Ecam(hardware, budget, process, window));
    if (ecam == nullptr) return Error::no_memory;
    find_devices(*ecam, window.first_bus, window.last_bus);
    log("{} devices; no IOMMU: a driver whose device may start DMA can reach all memory",
        devices.all().size());
    Server server = TRY(Server::create(slots, block_bytes));
    Workshop workshop = {hardware, budget, process, server};
    TRY(publish(environment, workshop));
    return server.run();
}

}  // namespace
}  // namespace annulus::pci

annulus::Result<void> annulus::program_main(Environment& environment) {
    return pci::run(environment);
}
