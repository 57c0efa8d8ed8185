// SPDX-License-Identifier: MIT
// TCP/IP: publishes the network as `net` (abi/net.h).
#include "runtime/clock.h"
#include "runtime/directory.h"
#include "runtime/program.h"
#include "services/net/service.h"

#include <new>

#include <lwip/arch.h>

namespace annulus::net {
namespace {

// One program may wait for accept and read on all its connections at once, and write besides.
constexpr unsigned server_slots = 256;
constexpr size_t block_bytes = 16 * 1024;

Result<void> run(Environment& environment) {
    const auto exports = TRY(environment.handle<Directory>(names::exports));
    Server server = TRY(Server::create(server_slots, block_bytes));
    // There is no better source of chance yet.
    const uint64_t seed = environment.address_seed() ^ read_cycles();
    const std::unique_ptr<Service> service(new (std::nothrow) Service(server, seed));
    if (service == nullptr) return Error::no_memory;
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
