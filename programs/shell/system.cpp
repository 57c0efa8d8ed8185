// SPDX-License-Identifier: MIT
// Commands on the system's programs.
#include "abi/names.h"
#include "abi/operations.h"
#include "programs/shell/jobs.h"
#include "runtime/programs.h"

namespace annulus::shell {
namespace {

constexpr unsigned pages = static_cast<unsigned>(abi::Resource::pages);

std::string_view name_of(abi::ProgramState state) {
    switch (state) {
        case abi::ProgramState::waiting: return "waits";
        case abi::ProgramState::running: return "runs";
        case abi::ProgramState::over: return "over";
    }
    return "unknown";
}

std::string_view name_of(abi::EndReason reason) {
    switch (reason) {
        case abi::EndReason::alive: return "none";
        case abi::EndReason::exited: return "exited";
        case abi::EndReason::killed: return "killed";
        case abi::EndReason::faulted: return "faulted";
        case abi::EndReason::budget_destroyed: return "budget destroyed";
    }
    return "unknown";
}

void append_rights(TextBuffer& out, abi::Rights rights) {
    if (rights == abi::all_rights) return out.append(" all");
    for (unsigned verb = 0; verb < abi::verb_count; ++verb) {
        if ((rights >> verb & 1) == 0) continue;
        out.append(' ');
        out.append(abi::verb_names[verb]);
    }
    // Bits of the object's own type.
    if (rights >> abi::verb_count != 0) format_to(out, " +{x}", rights >> abi::verb_count);
}

Result<void> print_programs(Shell& shell) {
    const auto programs = TRY(shell.environment.handle<Programs>(names::system));
    shell.terminal.say("{16} {6} {4} {7} {7} {15} {9}\n", "program", "state", "runs", "threads",
                       "handles", "pages", "CPU us");
    DirectoryReader reader(programs);
    while (!shell.terminal.interrupted() && TRY(reader.next())) {
        const std::string_view name = reader.entry().name;
        const abi::ProgramReport report = TRY(programs.report(name));
        shell.terminal.say("{16} {6} {4} {7} {7} {7}/{7} {9}\n", name, name_of(report.state),
                           report.runs, report.process.threads, report.process.handles,
                           report.budget.used[pages] + report.budget.lent[pages],
                           report.budget.limit[pages], report.process.cpu_ns / 1000);
    }
    return {};
}

void print_budget(Shell& shell, const abi::BudgetLedger& budget) {
    for (unsigned i = 0; i < abi::resource_count; ++i) {
        if (budget.limit[i] == 0) continue;
        shell.terminal.say("{16} {9} of {9}, lent {}\n", abi::resource_names[i], budget.used[i],
                           budget.limit[i], budget.lent[i]);
    }
}

Result<void> print_program(Shell& shell, std::string_view name) {
    const auto programs = TRY(shell.environment.handle<Programs>(names::system));
    const abi::ProgramReport report = TRY(programs.report(name));
    shell.terminal.say("{} {}, started {} times; last end: {}, code {x}\n", name,
                       name_of(report.state), report.runs, name_of(report.last_end),
                       report.last_exit_code);
    print_budget(shell, report.budget);
    uint64_t cursor = 0;
    do {
        std::byte buffer[1024];
        auto grants = TRY(programs.read_grants(name, cursor, buffer));
        ProgramGrant grant;
        while (take_grant(grants, grant)) {
            char line[256];
            TextBuffer out(line);
            format_to(out, "{16} = {}:", grant.name, grant.source);
            append_rights(out, grant.rights);
            shell.terminal.say("{}  (manifest:{})\n", out.text(), grant.line);
        }
    } while (cursor != 0 && !shell.terminal.interrupted());
    return {};
}

}  // namespace

void processes(Shell& shell, const Jobs& jobs) {
    const auto printed = print_programs(shell);
    if (!printed.ok()) shell.explain(names::system, printed.status());
    jobs.print();
}

void show_process(Shell& shell, std::string_view name) {
    const auto printed = print_program(shell, name);
    if (!printed.ok()) shell.explain(name, printed.status());
}

void kill_program(Shell& shell, std::string_view name) {
    const auto programs = shell.environment.handle<Programs>(names::system);
    if (!programs.ok()) return shell.explain(names::system, programs.status());
    const auto killed = programs->kill(name);
    if (!killed.ok()) shell.explain(name, killed.status());
}

void shut_down(Shell& shell, uint64_t kind) {
    const auto programs = shell.environment.handle<Programs>(names::system);
    if (!programs.ok()) return shell.explain(names::system, programs.status());
    const auto accepted = programs->shut_down(kind);
    if (!accepted.ok()) shell.explain("shutdown", accepted.status());
}

}  // namespace annulus::shell
