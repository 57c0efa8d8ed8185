// SPDX-License-Identifier: MIT
// TCP/IP: publishes the network as `net` (abi/net.h).
//
// It is handed a network interface as `interface`; without one there is the loopback address alone.
// The address comes from DHCP, or from the arguments address=, mask=, gateway= and names=.
#include "runtime/clock.h"
#include "runtime/directory.h"
#include "runtime/program.h"
#include "services/net/service.h"

#include <new>

#include <lwip/arch.h>

namespace annulus::net {
namespace {

constexpr size_t block_bytes = 16 * 1024;

// The argument `name`, an address; 0 without one.
Result<uint32_t> address_argument(const Environment& environment, std::string_view name) {
    const auto text = environment.argument(name);
    if (!text.ok()) return uint32_t{0};
    const auto address = parse_address(*text);
    if (!address.has_value()) return Error::bad_argument;
    return *address;
}

Result<std::optional<FixedAddress>> fixed_address(const Environment& environment) {
    const FixedAddress fixed = {.address = TRY(address_argument(environment, "address")),
                                .mask = TRY(address_argument(environment, "mask")),
                                .gateway = TRY(address_argument(environment, "gateway")),
                                .name_server = TRY(address_argument(environment, "names"))};
    if (fixed.address == 0) return std::optional<FixedAddress>();
    return std::optional(fixed);
}

Result<void> run(Environment& environment) {
    const auto exports = TRY(environment.handle<Directory>(names::exports));
    Server server = TRY(Server::create(Service::server_slots, block_bytes));
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    const Set events = TRY(budget.create_set(Service::events_max));
    const Semaphore link_changed =
        TRY(budget.create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0));
    const Semaphore alarm_rang =
        TRY(budget.create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0));
    Timer alarm = TRY(budget.create_timer(alarm_rang));
    TRY(events.create_member(alarm_rang, Service::alarm_key, 0));
    TRY(server.table().set_events(events));
    // There is no better source of chance yet.
    const uint64_t seed = environment.address_seed() ^ read_cycles();
    const std::unique_ptr<Service> service(new (std::nothrow)
                                               Service(server, events, std::move(alarm), seed));
    if (service == nullptr) return Error::no_memory;
    if (const auto given = environment.handle<Served>("interface"); given.ok()) {
        TRY(events.create_member(link_changed, Service::link_key, 0));
        TRY(service->start(TRY(Service::Driver::of(*given)), link_changed,
                           TRY(fixed_address(environment))));
    }
    TRY(exports.publish("net", TRY(service->make_root())));
    return server.run(*service);
}

}  // namespace
}  // namespace annulus::net

// lwIP found itself broken: nothing that it knows can be trusted any more.
void annulus_lwip_failed(const char* what) { annulus::panic(what); }

annulus::Result<void> annulus::program_main(Environment& environment) {
    return net::run(environment);
}
