// SPDX-License-Identifier: MIT
// The web server: serves the folder `www` to whoever connects to `listener`.
//
// The argument workers=N says how many connections it serves at once (64).
#include "runtime/program.h"
#include "runtime/thread.h"
#include "services/http/workers.h"

#include <memory>
#include <new>
#include <optional>

namespace annulus::http {
namespace {

constexpr unsigned workers_usual = 64;

Result<unsigned> worker_count(const Environment& environment) {
    const auto text = environment.argument("workers");
    if (!text.ok()) return workers_usual;
    unsigned count = 0;
    for (const char c : *text) {
        if (c < '0' || c > '9' || count > workers_max) return Error::bad_argument;
        count = count * 10 + static_cast<unsigned>(c - '0');
    }
    if (count == 0 || count > workers_max) return Error::bad_argument;
    return count;
}

Result<void> run(Environment& environment) {
    const auto listener = TRY(environment.handle<Listener>("listener"));
    const auto files = TRY(environment.handle<Directory>("www"));
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    const Semaphore pause =
        TRY(budget.create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0));
    const std::unique_ptr<Workers> workers(new (std::nothrow) Workers(
        listener, files, pause, TRY(Mutex::create()), TRY(worker_count(environment))));
    const std::unique_ptr<std::optional<RunningThread>[]> threads(
        new (std::nothrow) std::optional<RunningThread>[workers_max]);
    if (workers == nullptr || threads == nullptr) return Error::no_memory;
    for (unsigned i = 1; i < workers->count(); i++) {
        auto started = TRY(start_thread([&all = *workers] {
            // Without the network or the files no other worker can go on either.
            exit_program(all.work().status().bits);
        }));
        threads[i].emplace(std::move(started));
    }
    // The others never end, so the process does.
    exit_program(workers->work().status().bits);
}

}  // namespace
}  // namespace annulus::http

annulus::Result<void> annulus::program_main(Environment& environment) {
    return http::run(environment);
}
