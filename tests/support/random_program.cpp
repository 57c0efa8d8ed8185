// SPDX-License-Identifier: MIT
// RandomProgram.
#include "tests/support/random_program.h"

#include <stdio.h>
#include <stdlib.h>

namespace annulus::test {

RandomProgram::RandomProgram(KernelMachine& machine, Choices& choices)
    : machine_(machine), choices_(choices), memory_(RandomCaller::memory_size) {
    machine.user_memory = memory_;
    for (unsigned i = 0; i < 3; ++i) add(std::make_unique<MachineThread>(machine));
    callers_[0]->equip();
}

RandomProgram::~RandomProgram() {
    // Those that wait would go on waiting: they are killed. Others exit.
    for (auto& caller : callers_) {
        if (!caller->blocked()) continue;
        MachineThread& thread = caller->thread();
        {
            const InKernel here;
            kernel::kill_thread(thread.record(), abi::EndReason::killed, 0);
        }
        for (unsigned i = 0; i < 10'000 && !thread.dead(); ++i) machine_.advance();
        if (!thread.dead()) {
            fprintf(stderr, "random program: a thread that was killed does not end\n");
            abort();
        }
    }
    callers_.clear();
    machine_.kill_newborn();
    machine_.user_memory = {};
}

void RandomProgram::add(std::unique_ptr<MachineThread> thread) {
    callers_.push_back(std::make_unique<RandomCaller>(machine_, pool_, choices_, std::span(memory_),
                                                      std::move(thread)));
}

void RandomProgram::adopt_newborn() {
    if (callers_.size() >= threads_max) return;
    if (auto newborn = machine_.newborn()) {
        add(std::make_unique<MachineThread>(std::move(newborn)));
    } else if (callers_.empty() && !machine_.process().ended()) {
        add(std::make_unique<MachineThread>(machine_));
    }
}

RandomCaller& RandomProgram::any_caller() {
    return *callers_[choices_.below(static_cast<unsigned>(callers_.size()))];
}

void RandomProgram::step() {
    adopt_newborn();
    const unsigned what = choices_.below(32);
    if (what < 3 || callers_.empty()) {
        machine_.advance();
    } else if (what == 3) {
        pass_time();
    } else if (RandomCaller& caller = any_caller(); caller.blocked()) {
        if (caller.thread().woken()) caller.go_on();
    } else if (what == 4) {
        caller.write_entry();
    } else if (what == 5) {
        caller.touch_page();
    } else {
        caller.call();
    }
    std::erase_if(callers_, [](const auto& caller) { return caller->thread().dead(); });
}

// Time goes on, and what is due fires, or not yet.
void RandomProgram::pass_time() {
    machine_.now += choices_.below(256) * 64;
    if (choices_.one_in(2)) machine_.fire_timers();
    for (auto& caller : callers_) {
        if (!caller->blocked() || choices_.one_in(2)) continue;
        const InKernel here;
        static_cast<void>(caller->thread().time_out());
    }
}

}  // namespace annulus::test
