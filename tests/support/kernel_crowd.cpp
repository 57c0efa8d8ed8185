// SPDX-License-Identifier: MIT
// KernelCrowd. CPU 0 is the test's, 1 the reaper's, 2 the canceller's.
#include "tests/support/kernel_crowd.h"

#include "tests/support/kernel_hooks.h"

#include <sched.h>

#include <thread>

namespace annulus::test {

thread_local MachineThread* KernelCrowd::me_ = nullptr;

void KernelCrowd::run(const std::vector<std::function<void()>>& bodies) {
    std::vector<std::unique_ptr<MachineThread>> threads;
    for (size_t i = 0; i < bodies.size(); ++i) {
        threads.push_back(std::make_unique<MachineThread>(machine_));
    }
    machine_.now = 1000;
    std::atomic<bool> stop{false};
    const ReaperThread reaper(machine_, 1);
    std::thread canceller([&] { cancel_all(threads, stop); });
    std::vector<std::thread> hosts;
    for (size_t i = 0; i < bodies.size(); ++i) {
        hosts.emplace_back([&, i] {
            play_cpu(static_cast<uint32_t>(3 + i));
            me_ = threads[i].get();
            bodies[i]();
        });
    }
    for (std::thread& host : hosts) host.join();
    stop = true;
    canceller.join();
}

void KernelCrowd::cancel_all(std::vector<std::unique_ptr<MachineThread>>& threads,
                             const std::atomic<bool>& stop) {
    play_cpu(2);
    for (unsigned i = 0; !stop; ++i) {
        {
            const InKernel here;
            MachineThread& thread = *threads[i % threads.size()];
            // Each thread has its turns: an eighth of the rounds cancels.
            cancelled_ += thread.time_out() || (i / threads.size() % 8 == 0 && thread.cancel());
        }
        if (i % 16 == 0) sched_yield();
    }
}

}  // namespace annulus::test
