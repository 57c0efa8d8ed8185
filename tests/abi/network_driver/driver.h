// SPDX-License-Identifier: MIT
// Programs of the boot archive as processes that a test starts and kills: the network driver, and
// this test program itself as a client.
#pragma once

#include "base/archive.h"
#include "runtime/packet_interface.h"
#include "runtime/server.h"
#include "runtime/spawn.h"
#include "tests/guest/harness.h"

#include <memory>
#include <optional>

namespace annulus::test {

// A process with a budget of its own.
class Running {
public:
    // Arguments and grants beside `budget` and `clock`.
    static Result<Running> start(const Context& test, std::string_view file,
                                 std::span<const std::string_view> arguments,
                                 std::span<const Grant> grants);

    // Destroys its budget and waits until all that it had is gone.
    Result<void> kill();

private:
    Running(Budget budget, Process process)
        : budget_(std::move(budget)), process_(std::move(process)) {}

    Budget budget_;
    Process process_;
};

// Takes what drivers publish. One for the whole test program; its thread ends with the program.
class Exports final : public ServedByThis {
public:
    static Result<Exports*> get();

    // The directory for a driver.
    Result<Served> directory();
    // What was published last.
    Result<Object> published(Deadline deadline);

    Answer handle(Request& request) override;

    Exports(Server server, Semaphore arrived)
        : server_(std::move(server)), arrived_(std::move(arrived)) {}

private:
    Server server_;
    Semaphore arrived_;
    std::atomic<abi::Handle> object_{abi::no_handle};
};

// The driver of the machine's network device.
class Driver {
public:
    static Result<Driver> start(const Context& test);
    Result<void> kill() { return running_.kill(); }
    PacketInterface interface() const { return PacketInterface(interface_.value()); }

private:
    Driver(Running running, Object interface)
        : running_(std::move(running)), interface_(std::move(interface)) {}

    Running running_;
    Object interface_;
};

}  // namespace annulus::test
