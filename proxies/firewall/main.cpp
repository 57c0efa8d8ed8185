// SPDX-License-Identifier: MIT
// A firewall: publishes a network interface that lets pass what the rule file allows.
//
// It is handed `behind`, the interface to guard, and `rules`, a directory with the rule file. Its
// argument "publish=NAME" names what it publishes (`firewall`), "rules=PATH" the file (`firewall`).
#include "proxies/firewall/gateway.h"
#include "runtime/file.h"
#include "runtime/log.h"
#include "runtime/program.h"
#include "runtime/thread.h"

#include <new>

namespace annulus::firewall {
namespace {

constexpr unsigned slots = 16;
constexpr size_t block_bytes = 256;

std::string_view argument_or(const Environment& environment, std::string_view name,
                             std::string_view usual) {
    const auto text = environment.argument(name);
    return text.ok() ? *text : usual;
}

Result<void> read_rules(const Environment& environment, Rules& rules) {
    const auto directory = TRY(environment.handle<Directory>("rules"));
    const auto path = argument_or(environment, "rules", "firewall");
    const auto file = TRY(directory.open<File>(path, abi::open_read));
    // One byte more than there may be, so that a longer file shows.
    const std::unique_ptr<char[]> text(new (std::nothrow) char[rule_text_max + 1]);
    if (text == nullptr) return Error::no_memory;
    const auto space = std::as_writable_bytes(std::span(text.get(), rule_text_max + 1));
    const size_t size = TRY(File(file).read_at(0, space));
    const RuleError error = rules.read({text.get(), size});
    if (error.ok()) return {};
    log("{}:{}:{}: expected {}, found \"{}\"; nothing passes", path, error.line, error.column,
        error.expected, error.found);
    return {};
}

Result<void> run(const Environment& environment) {
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    const auto exports = TRY(environment.handle<Directory>(names::exports));
    auto behind = TRY(Gateway::Behind::of(TRY(environment.handle<Served>("behind"))));
    const std::unique_ptr<Rules> rules(new (std::nothrow) Rules);
    if (rules == nullptr) return Error::no_memory;
    TRY(read_rules(environment, *rules));
    Server server = TRY(Server::create(slots, block_bytes));
    const auto gateway = TRY(Gateway::create(server, std::move(behind), rules->all(), budget));
    // The interface behind has died for good: with this process the client learns it, too.
    const auto worker =
        TRY(start_thread([&gateway] { exit_program(gateway->work().status().bits); }));
    TRY(exports.publish(argument_or(environment, "publish", "firewall"),
                        TRY(server.make_object(*gateway, packet_interface_rights))));
    return server.run();
}

}  // namespace
}  // namespace annulus::firewall

annulus::Result<void> annulus::program_main(Environment& environment) {
    return firewall::run(environment);
}
