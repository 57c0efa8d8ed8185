// SPDX-License-Identifier: MIT
// RandomProgram: threads on a KernelMachine that call at random, one at a time.
//
// One host thread plays all of them, so a sequence of choices is one order of events: which thread
// calls, goes on or has its deadline, and when the reaper makes a step or a grace period ends.
#pragma once

#include "tests/support/random_calls.h"

#include <memory>
#include <vector>

namespace annulus::test {

class RandomProgram {
public:
    RandomProgram(KernelMachine& machine, Choices& choices);
    // Its threads end.
    ~RandomProgram();
    RandomProgram(const RandomProgram&) = delete;
    RandomProgram& operator=(const RandomProgram&) = delete;

    void step();

private:
    static constexpr unsigned threads_max = 5;

    void add(std::unique_ptr<MachineThread> thread);
    void adopt_newborn();
    void pass_time();
    RandomCaller& any_caller();

    KernelMachine& machine_;
    Choices& choices_;
    std::vector<std::byte> memory_;
    HandlePool pool_{96};
    std::vector<std::unique_ptr<RandomCaller>> callers_;
};

}  // namespace annulus::test
