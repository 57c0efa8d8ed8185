// SPDX-License-Identifier: MIT
// What an operation looked up may lose its last handle before the operation uses it: no reference
// comes after none.
#include "kernel/object/ring.h"
#include "kernel/object/table.h"
#include "tests/support/kernel_hooks.h"
#include "tests/support/kernel_machine.h"

#include <gtest/gtest.h>

namespace annulus::test {
namespace {

class ClosedMeanwhile : public testing::Test {
protected:
    void SetUp() override { play_cpu(0); }

    // As another CPU, while this one is in the kernel.
    void close_elsewhere(abi::Handle handle) {
        play_cpu(1);
        {
            const InKernel there;
            machine.close(handle);
        }
        play_cpu(0);
    }
    kernel::MemoryObject& make_memory() {
        return *kernel::MemoryObject::create(machine.root(), 4, 0).value().leak();
    }

    KernelMachine machine;
};

}  // namespace

TEST_F(ClosedMeanwhile, AProcessGetsNoThread) {
    auto process = kernel::Process::create(machine.root(), 16, false).value();
    while (!process->prepare_some().value()) {
    }
    kernel::Process& found = *process;
    const abi::Handle handle = machine.name(*process.leak());
    {
        const InKernel here;
        close_elsewhere(handle);
        EXPECT_EQ(kernel::create_thread(found, thread_start).error(), Error::bad_handle);
    }
    machine.settle();
}

TEST_F(ClosedMeanwhile, MemoryIsNoTablesAndNoRings) {
    kernel::MemoryObject& memory = make_memory();
    const abi::Handle handle = machine.name(memory);
    {
        const InKernel here;
        close_elsewhere(handle);
        const auto table =
            kernel::Table::create(machine.root(), 2, 1024, &memory, 0, machine.process());
        EXPECT_EQ(table.error(), Error::bad_handle);
        const auto ring = kernel::Ring::create(machine.root(), machine.process(), 8, memory, 0,
                                               abi::ring_allow_all);
        EXPECT_EQ(ring.error(), Error::bad_handle);
    }
    machine.settle();
}

}  // namespace annulus::test
