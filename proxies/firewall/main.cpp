// SPDX-License-Identifier: MIT
// A firewall: publishes a network interface that lets pass what the rule file allows.
//
// It is handed `behind`, the interface to guard, and `rules` and `changes`, directories with the
// rule file (rule_files.h). Its argument "publish=NAME" names what it publishes (`firewall`). As
// NAME_rules it publishes what changes the rules (control.h), if it may.
#include "base/format.h"
#include "proxies/firewall/control.h"
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

// The rules at the start: with a mistake in them there are none.
Result<std::unique_ptr<Rules>> first_rules(RuleFiles& files) {
    auto rules = files.read(Deadline::never());
    if (rules.error() != Error::bad_argument) return rules;
    log("nothing passes");
    std::unique_ptr<Rules> none(new (std::nothrow) Rules);
    if (none == nullptr) return Error::no_memory;
    return none;
}

// The manifest says whether there is somebody for it.
Result<void> publish_control(Directory exports, std::string_view firewall, Served control) {
    char name[abi::name_bytes_max];
    const auto published = exports.publish(format(name, "{}_rules", firewall), std::move(control));
    if (published.error() == Error::not_granted) return {};
    return published;
}

Result<void> run(const Environment& environment) {
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    const auto exports = TRY(environment.handle<Directory>(names::exports));
    auto behind = TRY(Gateway::Behind::of(TRY(environment.handle<Served>("behind"))));
    RuleFiles files = TRY(RuleFiles::of(environment));
    auto rules = TRY(first_rules(files));
    Server server = TRY(Server::create(slots, block_bytes));
    const auto gateway = TRY(Gateway::create(server, std::move(behind), std::move(rules), budget));
    // The interface behind has died for good: with this process the client learns it, too.
    const auto worker =
        TRY(start_thread([&gateway] { exit_program(gateway->work().status().bits); }));
    const auto name = argument_or(environment, "publish", "firewall");
    TRY(exports.publish(name, TRY(server.make_object(*gateway, packet_interface_rights))));
    Control control(server, *gateway, std::move(files));
    TRY(publish_control(exports, name, TRY(server.make_object(control, control_rights))));
    return server.run();
}

}  // namespace
}  // namespace annulus::firewall

annulus::Result<void> annulus::program_main(Environment& environment) {
    return firewall::run(environment);
}
