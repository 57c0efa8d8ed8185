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

Result<void> run(const Environment& environment) {
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    const auto process = TRY(environment.handle<Process>(names::process));
    const auto exports = TRY(environment.handle<Directory>(names::exports));
    const auto slot = TRY(environment.handle<PciSlot>("device"));
    Server server = TRY(Server::create(slots, block_bytes));
    auto opened = Device::open(slot, budget, process);
    if (!opened.ok() && opened.error() == Error::not_found) {
        log("there is no such device");
        return {};
    }
    Device device = TRY(std::move(opened));
    const auto interface = TRY(Interface::create(device, server, budget));
    const ThreadOptions urgent = {.priority = TRY(budget.get_ledger()).priority_ceiling};
    const auto worker = TRY(start_thread(
        [&interface] {
            // With the process the manager takes the device's right to start DMA.
            if (!interface->work().ok()) panic("the device cannot be trusted any more");
        },
        urgent));
    const auto name = environment.argument("publish");
    TRY(exports.publish(name.ok() ? *name : "network",
                        TRY(server.make_object(*interface, packet_interface_rights))));
    return server.run();
}

}  // namespace
}  // namespace annulus::virtio

annulus::Result<void> annulus::program_main(Environment& environment) {
    return virtio::run(environment);
}
