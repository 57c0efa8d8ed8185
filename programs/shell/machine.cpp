// SPDX-License-Identifier: MIT
// The command `machine`: memory and CPUs by the kernel's own account.
#include "programs/shell/commands.h"
#include "runtime/clock.h"
#include "runtime/programs.h"

namespace annulus::shell {
namespace {

constexpr uint64_t nanoseconds_per_second = 1'000'000'000;
constexpr uint64_t seconds_max = 24 * 60 * 60;

// The account at a moment; or what lies between two moments.
struct Account {
    uint64_t time;  // nanoseconds since the start
    uint64_t idle;  // of all CPUs together
    uint64_t wakeups;
};

// In steps of a thousandth: 1234 is 1.234.
void append_thousandths(TextBuffer& out, uint64_t thousandths) {
    const uint64_t part = thousandths % 1000;
    format_to(out, "{}.{}{}{}", thousandths / 1000, part / 100, part / 10 % 10, part % 10);
}

void append_mebibytes(TextBuffer& out, uint64_t pages) {
    append_thousandths(out, pages * abi::page_size * 1000 / (1024 * 1024));
}

void show_memory(Shell& shell, const abi::MachineLedger& ledger) {
    char line[256];
    TextBuffer out(line);
    append_mebibytes(out, ledger.total - ledger.free + ledger.kernel_static);
    out.append(" MiB of ");
    append_mebibytes(out, ledger.total + ledger.kernel_static);
    out.append(" in use: kernel ");
    append_mebibytes(out, ledger.kernel_static);
    out.append(", its objects ");
    append_mebibytes(out, ledger.kernel_heap);
    out.append(", programs ");
    append_mebibytes(out, ledger.total - ledger.free - ledger.kernel_heap);
    shell.terminal.say("{}\n", out.text());
}

void show_cpus(Shell& shell, uint32_t cpus, const Account& span) {
    char line[256];
    TextBuffer out(line);
    const uint64_t whole = span.time * cpus;
    // Readings of the clock by different CPUs differ a little.
    const uint64_t busy = whole > span.idle ? whole - span.idle : 0;
    format_to(out, "{} CPUs, ", cpus);
    append_thousandths(out, busy * 100 / (whole / 1000 + 1));
    out.append(" % busy, ");
    append_thousandths(out, span.wakeups * 1'000'000 / (span.time / 1'000'000 + 1));
    out.append(" wake-ups a second, over ");
    append_thousandths(out, span.time / 1'000'000);
    shell.terminal.say("{} s\n", out.text());
}

Result<void> show(Shell& shell, uint64_t for_seconds) {
    const auto programs = TRY(shell.environment.handle<Programs>(names::system));
    const abi::MachineLedger before = TRY(programs.machine());
    const uint64_t begin = now();
    if (for_seconds == 0) {
        show_memory(shell, before);
        show_cpus(shell, before.cpus, {begin, before.idle_ns, before.wakeups});
        return {};
    }
    const uint64_t end = begin + for_seconds * nanoseconds_per_second;
    const auto interrupted = system::wait(shell.terminal.interrupt().value(), 0, end);
    if (interrupted.status.code() != Error::timed_out) return {};
    const abi::MachineLedger after = TRY(programs.machine());
    show_memory(shell, after);
    show_cpus(shell, after.cpus,
              {now() - begin, after.idle_ns - before.idle_ns, after.wakeups - before.wakeups});
    return {};
}

}  // namespace

void show_machine(Shell& shell, Arguments arguments) {
    const auto for_seconds = read_number(arguments.empty() ? "0" : arguments[0], seconds_max);
    if (!for_seconds) return shell.explain("machine", Error::bad_argument);
    const auto shown = show(shell, *for_seconds);
    if (!shown.ok()) shell.explain(names::system, shown.status());
}

}  // namespace annulus::shell
