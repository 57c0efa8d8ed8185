// SPDX-License-Identifier: MIT
// Driver of virtio network devices: publishes the interface that its argument names (`network`
// unless given "publish=name").
//
// It is handed `device`, a slot of the PCI manager, and `budget`.
#include "drivers/network/virtio/interface.h"
#include "runtime/directory.h"
#include "runtime/program.h"
#include "runtime/thread.h"

namespace annulus::virtio {
namespace {

constexpr unsigned slots = 16;
constexpr size_t block_bytes = 256;
constexpr abi::Rights interface_rights = abi::right_of(abi::Verb::get) |
                                         abi::right_of(abi::Verb::open) |
                                         abi::right_of(abi::Verb::watch);

Result<void> run(const Environment& environment) {
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    const auto process = TRY(environment.handle<Process>(names::process));
    const auto exports = TRY(environment.handle<Directory>(names::exports));
    const auto slot = TRY(environment.handle<PciSlot>("device"));
    Server server = TRY(Server::create(slots, block_bytes));
    Device device = TRY(Device::open(slot, budget, process));
    const auto interface = TRY(Interface::create(device, server, budget));
    // The device is not trusted any more, or the semaphores are gone: with the process the manager
    // takes the device's right to start DMA.
    const ThreadOptions urgent = {.priority = TRY(budget.get_ledger()).priority_ceiling};
    const auto worker =
        TRY(start_thread([&interface] { exit_program(interface->work().status().bits); }, urgent));
    const auto name = environment.argument("publish");
    TRY(exports.publish(name.ok() ? *name : "network",
                        TRY(server.make_object(*interface, interface_rights))));
    return server.run();
}

}  // namespace
}  // namespace annulus::virtio

annulus::Result<void> annulus::program_main(Environment& environment) {
    return virtio::run(environment);
}
