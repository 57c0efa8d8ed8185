// SPDX-License-Identifier: MIT
// A machine with as many CPUs as the kernel uses, and one with more.

#include "abi/operations.h"
#include "runtime/thread.h"
#include "tests/guest/harness.h"

const char* const annulus::test::suite = "cpus";

// Booted with cpus_max CPUs, and with cpus_max + 1: the last one stays off.
TEST(most, "64 CPUs run, whatever more there are, and each runs the threads that are bound to it") {
    EXPECT_EQ(MUST(test.budget().get_machine()).cpus, abi::cpus_max);
    for (unsigned cpu = 0; cpu < abi::cpus_max; ++cpu) {
        std::atomic<bool> ran = false;
        auto thread = MUST(
            start_thread([&] { ran = true; }, {.stack_pages = 4, .affinity = uint64_t{1} << cpu}));
        EXPECT_OK(thread.join(Deadline::after(seconds(60))));
        EXPECT(ran.load());
    }
}

TEST(message_interrupts, "devices may interrupt each of 64 CPUs, and there is no other") {
    const auto hardware = MUST(test.environment().handle<Hardware>("hardware"));
    const auto last = hardware.create_message_interrupt(test.budget(), abi::cpus_max - 1);
    EXPECT_OK(last);
    EXPECT_ERROR(hardware.create_message_interrupt(test.budget(), abi::cpus_max),
                 Error::out_of_range);
}
