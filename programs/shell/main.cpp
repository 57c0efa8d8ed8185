// SPDX-License-Identifier: MIT
// The shell: reads commands from the console and does what they ask with what it was handed.
//
// It needs `console`, `budget`, and has the use of whatever else its manifest gives it: `files`,
// `archive`, `system`, ... Threads: the first does the commands, one reads the console, one serves
// `input` to programs.
#include "abi/operations.h"
#include "programs/shell/jobs.h"
#include "runtime/program.h"

namespace annulus::shell {
namespace {

struct Command {
    std::string_view name;
    std::string_view usage;  // of its arguments
    std::string_view help;
    size_t least;  // arguments
    size_t most;
    void (*act)(Shell& shell, Jobs& jobs, Arguments arguments);
};

constexpr size_t any_number = words_max;

void help(Shell& shell, Jobs& jobs, Arguments arguments);

void kill_one(Shell& shell, Jobs& jobs, Arguments arguments) {
    const std::string_view name = arguments[0];
    if (name.size() != 2 || name[0] != '%') return kill_program(shell, name);
    jobs.kill(static_cast<size_t>(name[1] - '0'));
}

constexpr Command commands[] = {
    {"help", "", "shows this list", 0, 0, help},
    {"list", "[PATH]", "what a directory holds; without a path what the shell was handed", 0, 1,
     [](Shell& shell, Jobs&, Arguments words) { list(shell, words); }},
    {"show", "PATH", "a file as text", 1, 1,
     [](Shell& shell, Jobs&, Arguments words) { show(shell, words); }},
    {"read", "PATH [OFFSET [COUNT]]", "a file's bytes, 256 unless told", 1, 3,
     [](Shell& shell, Jobs&, Arguments words) { dump(shell, words); }},
    {"write", "PATH [WORD...]", "makes a file of the words and a line's end", 1, any_number,
     [](Shell& shell, Jobs&, Arguments words) { write(shell, words); }},
    {"copy", "FROM TO", "copies a file", 2, 2,
     [](Shell& shell, Jobs&, Arguments words) { copy(shell, words); }},
    {"create", "PATH", "makes a directory", 1, 1,
     [](Shell& shell, Jobs&, Arguments words) { create(shell, words); }},
    {"remove", "PATH", "a file or an empty directory", 1, 1,
     [](Shell& shell, Jobs&, Arguments words) { remove(shell, words); }},
    {"rename", "FROM TO", "within one of the shell's objects", 2, 2,
     [](Shell& shell, Jobs&, Arguments words) { rename(shell, words); }},
    {"run", "PROGRAM [NAME=OBJECT[:RIGHT,...]]... [-- WORD...] [&]",
     "starts a program with just these objects", 1, any_number,
     [](Shell&, Jobs& jobs, Arguments words) { jobs.run(words); }},
    {"programs", "[NAME]", "all programs; one with its budget and objects", 0, 1,
     [](Shell& shell, Jobs& jobs, Arguments words) {
         words.empty() ? processes(shell, jobs) : show_process(shell, words[0]);
     }},
    {"machine", "[SECONDS]", "memory and CPUs since the start, or within so many seconds", 0, 1,
     [](Shell& shell, Jobs&, Arguments words) { show_machine(shell, words); }},
    {"kill", "NAME | %NUMBER", "ends a program", 1, 1, kill_one},
    {"shutdown", "", "ends every program, then the machine", 0, 0,
     [](Shell& shell, Jobs&, Arguments) { shut_down(shell, abi::power_off); }},
    {"restart", "", "the same, and starts the machine again", 0, 0,
     [](Shell& shell, Jobs&, Arguments) { shut_down(shell, abi::power_reboot); }},
};

void help(Shell& shell, Jobs&, Arguments) {
    for (const Command& command : commands) {
        shell.terminal.say("{} {}\n    {}\n", command.name, command.usage, command.help);
    }
}

void execute(Shell& shell, Jobs& jobs, std::string_view line) {
    Words words;
    const LineFault fault = words.read(line);
    if (fault != LineFault::none) {
        return shell.terminal.say("the line: {}, at byte {}\n", describe(fault), words.place() + 1);
    }
    if (words.all().empty()) return;
    const std::string_view name = words.all()[0];
    const Arguments arguments = words.all().subspan(1);
    for (const Command& command : commands) {
        if (command.name != name) continue;
        if (arguments.size() < command.least || arguments.size() > command.most) {
            return shell.terminal.say("usage: {} {}\n", command.name, command.usage);
        }
        return command.act(shell, jobs, arguments);
    }
    shell.terminal.say("{}: there is no such command; help lists them\n", name);
}

// Until Ctrl-D or the console's end.
void interact(Shell& shell, Jobs& jobs) {
    char buffer[line_max + 1];
    std::string_view line;
    shell.terminal.write("\nAnnulus. help lists the commands.\n");
    while (shell.terminal.read_line("> ", buffer, line)) {
        shell.terminal.begin_command();
        execute(shell, jobs, line);
        jobs.collect();
        shell.terminal.end_command();
    }
}

Result<void> converse(const Environment& environment, Terminal& terminal, const Server& server) {
    const auto reading = TRY(start_thread([&terminal] { terminal.read_console(); }));
    Shell shell = {environment, terminal,
                   TRY(server.make_object(terminal, abi::right_of(abi::Verb::read)))};
    Jobs jobs(shell);
    interact(shell, jobs);
    // Ends the other threads, too, and with the budget what was started here.
    exit_program(terminal.gone() ? Status(Error::closed).bits : 0);
}

Result<void> run(const Environment& environment) {
    Server server = TRY(Server::create(Terminal::input_slots, Terminal::input_block));
    Terminal terminal(TRY(environment.handle<Stream>(names::console)), server);
    TRY(terminal.prepare());
    const auto serving = TRY(start_thread([&server] {
        if (!server.run().ok()) panic("the shell cannot serve its input");
    }));
    const auto ended = converse(environment, terminal, server);
    // Not by returning: that would wait for the thread that serves.
    log("{}", name_of(ended));
    exit_program(ended.status().bits);
}

}  // namespace
}  // namespace annulus::shell

annulus::Result<void> annulus::program_main(Environment& environment) {
    return shell::run(environment);
}
