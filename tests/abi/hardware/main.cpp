// SPDX-License-Identifier: MIT
// The hardware factory: message interrupts, and the firmware's tables.
#include "abi/operations.h"
#include "base/firmware_tables.h"
#include "runtime/deadline.h"
#include "runtime/semaphore.h"
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

TEST(firmware, "the firmware's tables are there: whole, checked, and read-only") {
    const auto memory = MUST(test.environment().handle<Memory>("firmware"));
    const auto size = MUST(memory.get_size());
    const uint64_t bytes = size.pages * abi::page_size;
    EXPECT_ERROR(test.process().map(memory, 0, bytes, 0, abi::map_read | abi::map_write),
                 Error::no_right);
    const uint64_t address = MUST(test.process().map(memory, 0, bytes, 0, abi::map_read));
    // Safety: the kernel has just mapped these bytes, and nobody changes them.
    const std::span seen(reinterpret_cast<const std::byte*>(address), bytes);
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
    EXPECT_OK(test.process().map_unmap(address, bytes));
}
