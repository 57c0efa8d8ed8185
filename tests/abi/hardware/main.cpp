// SPDX-License-Identifier: MIT
// The hardware factory: message interrupts, and the firmware's tables.
#include "abi/operations.h"
#include "base/firmware_tables.h"
#include "runtime/deadline.h"
#include "runtime/semaphore.h"
#include "tests/abi/hardware/device.h"
#include "tests/guest/harness.h"

#include <array>

const char* const annulus::test::suite = "hardware";

namespace annulus::test::cases {
namespace {

// Local interrupt controllers take messages here (Intel SDM vol. 3, 10.11.1).
constexpr uint64_t message_base = 0xfee00000, message_end = 0xfef00000;
constexpr unsigned vectors_max = 256;

struct Factory {
    HardwareReference hardware;
    BudgetReference budget;

    static Result<Factory> of(const Context& test) {
        return Factory{TRY(test.environment().handle<Hardware>("hardware")), test.budget()};
    }
    // Messages to the first CPU.
    auto message() const { return hardware.create_message_interrupt(budget, 0); }
};

Deadline soon() { return Deadline::after(seconds(5)); }

// Mapped until the program ends.
Result<std::span<const std::byte>> map_firmware(const Context& test) {
    const auto memory = TRY(test.environment().handle<Memory>("firmware"));
    const uint64_t bytes = TRY(memory.get_size()).pages * abi::page_size;
    const uint64_t address = TRY(test.process().map(memory, 0, bytes, 0, abi::map_read));
    // Safety: the kernel has just mapped these bytes, and nobody changes them.
    return std::span(reinterpret_cast<const std::byte*>(address), bytes);
}

// One for the whole program: the registers stay mapped.
constinit Interrupt raised_interrupt;
constinit RaisingDevice raising_device;

// A device that raises a message interrupt, made anew.
struct Raising {
    const RaisingDevice& device;
    InterruptReference interrupt;
    Semaphore fired;

    static Result<Raising> of(const Context& test) {
        const auto factory = TRY(Factory::of(test));
        raised_interrupt.close();
        auto made = TRY(factory.message());
        raised_interrupt = std::move(made.interrupt);
        if (!raising_device.is_open()) {
            raising_device = TRY(RaisingDevice::open(factory.hardware, factory.budget,
                                                     test.process(), TRY(map_firmware(test))));
        }
        TRY(raising_device.program(made.address, made.data));
        return Raising{
            raising_device, raised_interrupt,
            TRY(test.budget().create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0))};
    }
};

}  // namespace
}  // namespace annulus::test::cases

TEST(message, "a message interrupt says what its device is to write, and no two say the same") {
    const auto factory = MUST(Factory::of(test));
    const auto first = MUST(factory.message());
    const auto second = MUST(factory.message());
    EXPECT(first.address >= message_base && first.address < message_end);
    EXPECT(first.data < vectors_max && second.data < vectors_max);
    EXPECT(first.data != second.data || first.address != second.address);
}

TEST(message_cpu, "a message interrupt names its CPU, which must run") {
    const auto factory = MUST(Factory::of(test));
    const auto last = MUST(factory.hardware.create_message_interrupt(factory.budget, 0));
    EXPECT(last.address >= message_base);
    EXPECT_ERROR(factory.hardware.create_message_interrupt(factory.budget, abi::cpus_max),
                 Error::out_of_range);
    EXPECT_ERROR(factory.hardware.create_message_interrupt(factory.budget, ~uint64_t{0}),
                 Error::out_of_range);
}

TEST(vectors, "vectors run out with limit, and a closed interrupt gives its own back") {
    const auto factory = MUST(Factory::of(test));
    std::array<Interrupt, vectors_max> held;
    unsigned count = 0;
    Status refusal;
    for (; count < vectors_max; ++count) {
        auto made = factory.message();
        if (!made.ok()) {
            refusal = made.status();
            break;
        }
        held[count] = std::move(made->interrupt);
    }
    EXPECT_EQ(refusal.code(), Error::limit);
    EXPECT(count > 100);
    held[count / 2].close();
    auto again = MUST(factory.message());
    EXPECT_ERROR(factory.message(), Error::limit);
    again.interrupt.close();
    for (auto& one : held) one.close();
    // All of them came back.
    for (unsigned i = 0; i < count; ++i) held[i] = std::move(MUST(factory.message()).interrupt);
    EXPECT_ERROR(factory.message(), Error::limit);
}

TEST(message_watch, "a message interrupt takes one semaphore, and stays silent without a message") {
    const auto factory = MUST(Factory::of(test));
    const auto made = MUST(factory.message());
    const auto fired =
        MUST(test.budget().create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0));
    EXPECT_OK(made.interrupt.set_acknowledge());
    EXPECT_OK(made.interrupt.watch_fire(fired));
    EXPECT_ERROR(made.interrupt.watch_fire(fired), Error::busy);
    EXPECT_OK(made.interrupt.set_acknowledge());
    EXPECT_ERROR(wait_for(fired, Deadline::after(milliseconds(2))), Error::timed_out);
}

TEST(delivery, "a message signals, once until it is acknowledged; one that came before counts") {
    const auto raising = MUST(Raising::of(test));
    raising.device.raise();
    EXPECT_OK(raising.interrupt.watch_fire(raising.fired));
    EXPECT_OK(wait_for(raising.fired, soon()));
    // What comes before acknowledge is remembered, any number as one.
    for (unsigned i = 0; i < 3; ++i) raising.device.raise();
    EXPECT_ERROR(wait_for(raising.fired, Deadline::after(milliseconds(3))), Error::timed_out);
    EXPECT_OK(raising.interrupt.set_acknowledge());
    EXPECT_OK(wait_for(raising.fired, soon()));
    EXPECT_OK(raising.interrupt.set_acknowledge());
    EXPECT_ERROR(wait_for(raising.fired, Deadline::after(milliseconds(3))), Error::timed_out);
    for (unsigned i = 0; i < 100; ++i) {
        raising.device.raise();
        EXPECT_OK(wait_for(raising.fired, soon()));
        EXPECT_OK(raising.interrupt.set_acknowledge());
    }
}

TEST(storm, "a storm of messages is held back, and the interrupt works again after it") {
    const auto raising = MUST(Raising::of(test));
    EXPECT_OK(raising.interrupt.watch_fire(raising.fired));
    for (unsigned round = 0; round < 3; ++round) {
        for (unsigned i = 0; i < 2000; ++i) raising.device.raise();
        EXPECT_OK(wait_for(raising.fired, soon()));
        EXPECT_OK(raising.interrupt.set_acknowledge());
        EXPECT_OK(wait_for(raising.fired, soon()));
        // The last of them may be held back for a moment more.
        do {
            EXPECT_OK(raising.interrupt.set_acknowledge());
        } while (wait_for(raising.fired, Deadline::after(milliseconds(5))).ok());
        raising.device.raise();
        EXPECT_OK(wait_for(raising.fired, soon()));
        EXPECT_OK(raising.interrupt.set_acknowledge());
    }
}

TEST(firmware, "the firmware's tables are there: whole, checked, and read-only") {
    const auto memory = MUST(test.environment().handle<Memory>("firmware"));
    EXPECT_ERROR(test.process().map(memory, 0, abi::page_size, 0, abi::map_read | abi::map_write),
                 Error::no_right);
    const auto seen = MUST(map_firmware(test));
    const auto tables = FirmwareTables::open(seen);
    EXPECT(tables.has_value());
    if (!tables) return;
    EXPECT(tables->count() >= 3);
    for (const char* signature : {"APIC", "FACP", "MCFG", "DSDT"}) {
        const auto table = tables->find(signature);
        EXPECT(table.size() > 36);
        unsigned sum = 0;
        for (const std::byte one : table) sum += static_cast<unsigned>(one);
        EXPECT_EQ(sum % 256, 0);
    }
    EXPECT(tables->find("NONE").empty());
}
