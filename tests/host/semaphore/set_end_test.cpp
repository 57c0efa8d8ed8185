// SPDX-License-Identifier: MIT
// The end of a set, while another CPU is about to use a record that it looked up before.
#include "kernel/object/semaphore_set.h"
#include "tests/support/kernel_hooks.h"
#include "tests/support/kernel_machine.h"

#include <gtest/gtest.h>

namespace annulus::test {

TEST(SetEnd, RecordsStayUntilEveryCpuHasLeftTheKernel) {
    for (const unsigned members : {0u, 3u}) {
        play_cpu(0);
        KernelMachine machine;
        auto* set = kernel::SemaphoreSet::create(machine.root(), 100).value().leak();
        const abi::Handle handle = machine.name(*set);
        for (unsigned i = 0; i < members; ++i) {
            const auto made = machine.make_semaphore(kernel::SemaphoreMode::counting);
            ASSERT_TRUE(set->add(made.semaphore, i, 0).ok());
        }
        const uint64_t pages = KernelMachine::used(abi::Resource::pages);
        {
            const InKernel here;
            play_cpu(1);
            {
                const InKernel there;
                machine.close(handle);
            }
            // The reaper's part, if there is one; the grace period cannot end now.
            if (members > 0) ASSERT_TRUE(machine.advance());
            play_cpu(0);
            EXPECT_EQ(KernelMachine::used(abi::Resource::pages), pages);
            EXPECT_EQ(KernelMachine::used(abi::Resource::wait_records), 100);
        }
        machine.settle();
        EXPECT_LT(KernelMachine::used(abi::Resource::pages), pages);
        EXPECT_EQ(KernelMachine::used(abi::Resource::wait_records), 0);
    }
}

}  // namespace annulus::test
