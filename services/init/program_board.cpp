// SPDX-License-Identifier: MIT
// How each program is, and what was asked for from outside.
#include "services/init/program_board.h"

namespace annulus::init {

void ProgramBoard::starts(uint16_t program, ProcessReference process, BudgetReference budget) {
    Lock lock(mutex_);
    Entry& entry = entries_[program];
    entry.report.state = abi::ProgramState::running;
    ++entry.report.runs;
    entry.process = process;
    entry.budget = budget;
    entry.kill = false;
}

void ProgramBoard::ends(uint16_t program, abi::EndReason reason, uint64_t exit_code) {
    Lock lock(mutex_);
    Entry& entry = entries_[program];
    entry.report.last_end = reason;
    entry.report.last_exit_code = exit_code;
    entry.process = {};
    entry.budget = {};
    entry.kill = false;
}

void ProgramBoard::set_state(uint16_t program, abi::ProgramState state) {
    Lock lock(mutex_);
    entries_[program].report.state = state;
}

bool ProgramBoard::take_kill(uint16_t program) {
    Lock lock(mutex_);
    return std::exchange(entries_[program].kill, false);
}

std::optional<uint64_t> ProgramBoard::power_request() {
    Lock lock(mutex_);
    return power_;
}

abi::ProgramReport ProgramBoard::report(uint16_t program) {
    Lock lock(mutex_);
    const Entry& entry = entries_[program];
    abi::ProgramReport report = entry.report;
    if (entry.process.empty()) return report;
    if (const auto state = entry.process.get_state(); state.ok()) report.process = *state;
    if (const auto ledger = entry.budget.get_ledger(); ledger.ok()) report.budget = *ledger;
    return report;
}

bool ProgramBoard::request_kill(uint16_t program) {
    Lock lock(mutex_);
    Entry& entry = entries_[program];
    if (entry.process.empty()) return false;
    entry.kill = true;
    return true;
}

void ProgramBoard::request_power(uint64_t kind) {
    Lock lock(mutex_);
    power_ = kind;
}

}  // namespace annulus::init
