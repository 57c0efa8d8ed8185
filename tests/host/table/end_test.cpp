// SPDX-License-Identifier: MIT
// The end of a table, met by an operation that looked it up just before.
#include "kernel/object/table.h"
#include "tests/support/kernel_hooks.h"
#include "tests/support/kernel_machine.h"

#include <gtest/gtest.h>

namespace annulus::test {

// Which CPU's turn it is; the others stay where they are, in the kernel or not.
static void on_cpu(uint32_t cpu, const auto& code) {
    play_cpu(cpu);
    code();
    play_cpu(0);
}

TEST(TableEnd, AFaultThatComesAfterTheLastHandleEndsItOnce) {
    play_cpu(0);
    KernelMachine machine;
    auto* table =
        kernel::Table::create(machine.root(), 2, 0, nullptr, 0, machine.process()).value().leak();
    const abi::Handle handle = machine.name(*table);
    {
        // CPU 0 has looked the table up. Its stay in the kernel keeps the record.
        const InKernel here;
        on_cpu(1, [&] {
            {
                const InKernel there;
                machine.close(handle);
            }
            ASSERT_TRUE(machine.advance());  // all of its end but the grace period
        });
        table->end(kernel::TableState::faulted, Status(Error::faulted));
        on_cpu(1, [&] {
            const InKernel there;
            table->end(kernel::TableState::faulted, Status(Error::faulted));
        });
    }
    // Takes it apart; the machine's end finds what was freed twice or never.
    machine.settle();
}

}  // namespace annulus::test
