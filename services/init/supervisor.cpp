// SPDX-License-Identifier: MIT
// Runs the system that the manifest describes.
#include "services/init/supervisor.h"

#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "services/init/fault_report.h"

#include <algorithm>

namespace annulus::init {
namespace {

// A program that waits longer for what others publish is reported, once.
constexpr Duration overdue_after = seconds(10);

constexpr Duration flush_limit = seconds(3);

// The name whose provider writes the log.
constexpr std::string_view log_target_name = "console";

}  // namespace

void Supervisor::run() {
    for (;;) {
        bool changed = true;
        while (changed) {
            choose_log_target();
            changed = start_those_ready();
            changed = look_at_running() || changed;
        }
        if (const auto kind = shared_.board.power_request(); kind.has_value()) shut_down(*kind);
        report_overdue();
        report_idle();
        const auto woken = shared_.doorbell.wait(next_look());
        if (!woken.ok() && woken.error() != Error::timed_out) panic("init lost its doorbell");
    }
}

bool Supervisor::start_those_ready() {
    bool changed = false;
    for (const uint16_t index : order_.programs()) {
        Entry& entry = entries_[index];
        if (entry.phase != Phase::waiting) continue;
        if (entry.waits_since == 0) entry.waits_since = now();
        bool ready;
        {
            Lock lock(shared_.mutex);
            ready = shared_.exports.can_start(program(index));
        }
        if (!ready) continue;
        start(index);
        changed = true;
    }
    return changed;
}

void Supervisor::start(uint16_t index) {
    Entry& entry = entries_[index];
    {
        Lock lock(shared_.mutex);
        entry.run = shared_.exports.begin_run(index);
    }
    entry.phase = Phase::running;
    entry.told_overdue = false;
    entry.waits_since = 0;
    LaunchFailure failure;
    const auto launched = launcher_.launch(index, entry.run, entry.running, failure);
    if (launched.ok()) {
        shared_.board.starts(index, entry.running.process, entry.running.budget);
        return;
    }
    const abi::Status status = launched.status();
    shared_.log.say("{} cannot start: {} (manifest:{}): {}, detail {}", program(index).name,
                    failure.what, failure.place.line, name_of(status), status.detail());
    end(index, abi::EndReason::faulted);
}

bool Supervisor::look_at_running() {
    bool changed = false;
    for (const uint16_t index : order_.programs()) {
        if (entries_[index].phase == Phase::running) changed = look_at(index) || changed;
    }
    return changed;
}

// True if it has ended.
bool Supervisor::look_at(uint16_t index) {
    const ProcessReference process = entries_[index].running.process;
    const std::string_view name = program(index).name;
    if (const auto thread = process.get_faulted(); thread.ok()) {
        report_fault(shared_.log, name, *thread, entries_[index].running.image_base);
        end(index, abi::EndReason::faulted);
        return true;
    }
    if (shared_.board.take_kill(index)) {
        shared_.log.say("{} is killed", name);
        end(index, abi::EndReason::killed);
        return true;
    }
    const auto state = process.get_state();
    if (state.ok() && state->reason == abi::EndReason::alive) return false;
    abi::EndReason reason = state.ok() ? state->reason : abi::EndReason::budget_destroyed;
    // Beside init only the program itself has the process: it killed itself, which is its way to
    // end all of its threads.
    if (reason == abi::EndReason::killed) reason = abi::EndReason::exited;
    if (reason == abi::EndReason::exited) {
        shared_.log.say("{} ended with {x}", name, state->exit_code);
    } else {
        shared_.log.say("{} was ended ({})", name,
                        reason == abi::EndReason::faulted ? "fault" : "its budget is gone");
    }
    end(index, reason, state.ok() ? state->exit_code : 0);
    return true;
}

void Supervisor::end(uint16_t index, abi::EndReason reason, uint64_t exit_code) {
    Entry& entry = entries_[index];
    shared_.board.ends(index, reason, exit_code);
    withdraw_exports(index);
    destroy(entry.running);
    const bool may_restart = program(index).on_exit.action == ExitAction::restart ||
                             program(index).on_fault.action == ExitAction::restart;
    switch (decide_end(program(index), reason, entry.history, now())) {
        case ExitAction::nothing:
            entry.phase = Phase::over;
            shared_.board.set_state(index, abi::ProgramState::over);
            if (may_restart) shared_.log.say("{} is not restarted", program(index).name);
            return;
        case ExitAction::restart:
            shared_.log.say("{} is restarted", program(index).name);
            entry.phase = Phase::waiting;
            shared_.board.set_state(index, abi::ProgramState::waiting);
            return;
        case ExitAction::shut_down:
            shared_.log.say("{} has ended: the system shuts down", program(index).name);
            shut_down(abi::power_off);
    }
}

void Supervisor::withdraw_exports(uint16_t index) {
    std::array<abi::Handle, manifest_provides_max> withdrawn;
    size_t count;
    {
        Lock lock(shared_.mutex);
        count = shared_.exports.end_run(index, withdrawn);
    }
    for (const abi::Handle object : std::span(withdrawn).first(count)) close_handle(object);
    choose_log_target();
}

void Supervisor::choose_log_target() {
    abi::Handle published = abi::no_handle;
    for (size_t i = 0; i < shared_.manifest.provide_count; i++) {
        if (shared_.manifest.provides[i].name != log_target_name) continue;
        Lock lock(shared_.mutex);
        published = shared_.exports.at(static_cast<uint16_t>(i)).object;
    }
    const bool has_target = published != abi::no_handle;
    if (has_target == log_has_target_) return;
    log_has_target_ = has_target;
    if (!has_target) return shared_.log.set_target({});
    auto copy = ObjectReference(published).get_duplicate(abi::right_of(abi::Verb::write), 0);
    if (copy.ok()) shared_.log.set_target(std::move(copy->handle));
}

// Ends the program, if it still runs, and returns when everything that it had is given back.
void Supervisor::destroy(Running& running) {
    running.process.close();
    if (running.budget.empty()) return;
    const auto destroying = running.budget.remove_destroy(destroyed_);
    if (destroying.ok()) {
        if (!wait_for(destroyed_).ok()) panic("init cannot wait for the end of a budget");
    } else {
        shared_.log.say("a budget cannot be destroyed: {}", name_of(destroying));
    }
    running.budget.close();
}

void Supervisor::shut_down(uint64_t kind) {
    shared_.log.flush(flush_limit);
    ProgramOrder order = order_;
    order.reverse();
    for (const uint16_t index : order.programs()) destroy(entries_[index].running);
    const auto result = power_.shutdown_now(kind);
    panic(result.ok() ? "the machine is still on" : "init may not turn the machine off");
}

// Only programs that wait, and were not reported yet, have a time.
Deadline Supervisor::next_look() const {
    Deadline next = Deadline::never();
    for (const uint16_t index : order_.programs()) {
        const Entry& entry = entries_[index];
        if (entry.phase != Phase::waiting || entry.told_overdue) continue;
        next = std::min(next, later(entry.waits_since, overdue_after));
    }
    return next;
}

void Supervisor::report_overdue() {
    for (const uint16_t index : order_.programs()) {
        Entry& entry = entries_[index];
        if (entry.phase != Phase::waiting || entry.told_overdue) continue;
        if (later(entry.waits_since, overdue_after).at > now()) continue;
        entry.told_overdue = true;
        for (const Give& give : shared_.manifest.gives_of(program(index))) {
            if (!give.is_awaited()) continue;
            {
                Lock lock(shared_.mutex);
                if (shared_.exports.at(give.index).object != abi::no_handle) continue;
            }
            const uint16_t provider = shared_.manifest.provider_of(give);
            shared_.log.say("{} waits for {}, which {} has not published (manifest:{}){}",
                            program(index).name, give.source_name, program(provider).name,
                            give.place.line,
                            entries_[provider].phase == Phase::over ? "; it has ended" : "");
        }
    }
}

void Supervisor::report_idle() {
    for (const uint16_t index : order_.programs()) {
        if (entries_[index].phase != Phase::over) return;
    }
    if (told_idle_) return;
    told_idle_ = true;
    shared_.log.say("every program has ended");
}

}  // namespace annulus::init
