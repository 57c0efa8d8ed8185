// SPDX-License-Identifier: MIT
// Driver of a 16550 serial port: publishes it as the stream `console`.
//
// It is handed `ports` (the port's eight), `line` (its interrupt) and, if the kernel writes to the
// same port, `kernel_console`, so that the kernel leaves it.
#include "abi/operations.h"
#include "drivers/console/serial/console.h"
#include "runtime/directory.h"
#include "runtime/program.h"
#include "runtime/thread.h"

namespace annulus::serial {
namespace {

constexpr size_t block_bytes = 2048;
constexpr abi::Rights stream_rights =
    abi::right_of(abi::Verb::read) | abi::right_of(abi::Verb::write) |
    abi::right_of(abi::Verb::sync) | abi::right_of(abi::Verb::get);

Result<void> serve_interrupts(SerialConsole& console, SemaphoreReference fired) {
    for (;;) {
        const auto waited = wait_for(fired, console.next_deadline());
        if (waited.ok()) {
            TRY(console.interrupted());
        } else if (waited.error() != Error::timed_out) {
            return waited.status();
        }
        console.end_expired_reads();
    }
}

Result<void> run(Environment& environment) {
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    const auto line = TRY(environment.handle<Interrupt>("line"));
    const auto exports = TRY(environment.handle<Directory>(names::exports));
    Uart uart(TRY(environment.handle<Ports>("ports")));
    Server server = TRY(Server::create(requests_max, block_bytes));
    const Semaphore fired =
        TRY(budget.create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0));

    const auto kernel = environment.handle<Console>("kernel_console");
    const uint64_t early = kernel.ok() ? TRY(kernel->shutdown_release()) : 0;
    TRY(uart.prepare());
    SerialConsole console(uart, line, fired, server, TRY(Mutex::create()));
    if (early != 0) console.add_early(static_cast<std::byte>(early & 0xff));
    TRY(line.watch_fire(fired));
    const auto serving = TRY(start_thread([&console, &fired] {
        const auto ended = serve_interrupts(console, fired);
        exit_program(ended.status().bits);
    }));
    // What arrived before the line was watched.
    TRY(console.interrupted());
    TRY(exports.publish("console", TRY(server.make_object(console, stream_rights))));
    return server.run();
}

}  // namespace
}  // namespace annulus::serial

annulus::Result<void> annulus::program_main(Environment& environment) {
    return serial::run(environment);
}
