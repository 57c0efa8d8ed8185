// SPDX-License-Identifier: MIT
// KernelCrowd: several kernel threads at once, each a host thread that plays a CPU of its own,
// beside the reaper, and beside one that cancels their waits all the time.
#pragma once

#include "tests/support/kernel_machine.h"

#include <functional>
#include <memory>
#include <vector>

namespace annulus::test {

class KernelCrowd {
public:
    explicit KernelCrowd(KernelMachine& machine) : machine_(machine) {}

    // Runs each body to its end. Deadlines before 1000 have come.
    void run(const std::vector<std::function<void()>>& bodies);

    // Inside a body: the kernel thread that is its own.
    static MachineThread& me() { return *me_; }

    // How many waits were cancelled, or found their deadline come.
    uint64_t cancelled() const { return cancelled_; }

private:
    void cancel_all(std::vector<std::unique_ptr<MachineThread>>& threads,
                    const std::atomic<bool>& stop);

    static thread_local MachineThread* me_;

    KernelMachine& machine_;
    uint64_t cancelled_ = 0;
};

}  // namespace annulus::test
