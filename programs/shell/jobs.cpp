// SPDX-License-Identifier: MIT
// Programs that the shell started.
#include "programs/shell/jobs.h"

#include "abi/errors.h"
#include "abi/operations.h"
#include "programs/shell/start.h"
#include "runtime/clock.h"

#include <string.h>

#include <algorithm>

namespace annulus::shell {
namespace {

constexpr uint64_t killed_code = 130;  // as other systems count Ctrl-C

std::string_view reason_text(abi::EndReason reason) {
    switch (reason) {
        case abi::EndReason::alive: return "it runs";
        case abi::EndReason::exited: return "it ended";
        case abi::EndReason::killed: return "it was killed";
        case abi::EndReason::faulted: return "it was ended by a fault";
        case abi::EndReason::budget_destroyed: return "its budget is gone";
    }
    return "it ended";
}

}  // namespace

void Jobs::run(Arguments arguments) {
    RunRequest request;
    std::string_view word;
    const RunFault fault = read_run(arguments, request, word);
    if (fault != RunFault::none) {
        return shell_.terminal.say("run: {}: {}\n", word.empty() ? "run" : word, describe(fault));
    }
    const auto free =
        std::find_if(jobs_.begin(), jobs_.end(), [](const auto& job) { return !job.has_value(); });
    if (request.background && free == jobs_.end()) {
        return shell_.terminal.say("run: there are {} programs in the background already\n", most);
    }
    std::string_view failed = request.program;
    auto started = start_program(shell_, request, failed);
    if (!started.ok()) return shell_.explain(failed, started.status());
    if (!request.background) return wait(*started);
    free->emplace(std::move(*started));
    shell_.terminal.say("%{} {}\n", free - jobs_.begin() + 1, (*free)->name_text());
}

void Jobs::wait(Job& job) {
    const abi::WaitEntry entries[] = {{job.ended.value(), 0},
                                      {shell_.terminal.interrupt().value(), 0}};
    const auto woken = system::wait_any(entries, std::size(entries), abi::deadline_never);
    if (!woken.status.ok() || woken.index == 1) {
        static_cast<void>(job.process.remove_kill(killed_code));
        static_cast<void>(wait_for(job.ended));
        // What is said about its end is not part of what was interrupted.
        shell_.terminal.begin_command();
    }
    finish(job);
}

// It has ended: tells how, unless well, and takes everything back.
void Jobs::finish(Job& job) {
    if (job.reads_input) shell_.terminal.forget_reader();
    const auto state = job.process.get_state();
    const bool well =
        state.ok() && state->reason == abi::EndReason::exited && state->exit_code == 0;
    if (!well && state.ok()) {
        const abi::Status status(state->exit_code);
        const bool known = state->reason == abi::EndReason::exited &&
                           static_cast<uint16_t>(status.code()) < abi::error_count;
        shell_.terminal.say("{}: {}, code {x}{}{}\n", job.name_text(), reason_text(state->reason),
                            state->exit_code, known ? ", as an error " : "",
                            known ? abi::name_of(status.code()) : "");
    }
    job.process.close();
    const auto budget = shell_.environment.handle<Budget>(names::budget);
    if (!budget.ok()) return;
    const auto done = budget->create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0);
    if (done.ok() && job.budget.remove_destroy(*done).ok()) static_cast<void>(wait_for(*done));
}

void Jobs::kill(size_t number) {
    if (number < 1 || number > most || !jobs_[number - 1].has_value()) {
        return shell_.terminal.say("kill: there is no program %{}\n", number);
    }
    Job& job = *jobs_[number - 1];
    static_cast<void>(job.process.remove_kill(killed_code));
    static_cast<void>(wait_for(job.ended));
    finish(job);
    jobs_[number - 1].reset();
}

void Jobs::collect() {
    for (size_t i = 0; i < most; ++i) {
        if (!jobs_[i].has_value() || !wait_for(jobs_[i]->ended, Deadline::poll()).ok()) continue;
        shell_.terminal.say("%{} {} has ended\n", i + 1, jobs_[i]->name_text());
        finish(*jobs_[i]);
        jobs_[i].reset();
    }
}

void Jobs::print() const {
    for (size_t i = 0; i < most; ++i) {
        if (!jobs_[i].has_value()) continue;
        const auto state = jobs_[i]->process.get_state();
        if (!state.ok()) continue;
        shell_.terminal.say("%{}{14}   started here  {2} threads {5} pages {8} us\n", i + 1,
                            jobs_[i]->name_text(), state->threads, state->mapped_pages,
                            state->cpu_ns / 1000);
    }
}

}  // namespace annulus::shell
