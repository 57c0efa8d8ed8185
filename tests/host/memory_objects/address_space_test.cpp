// SPDX-License-Identifier: MIT
// Tests of address spaces: placing, splitting, access, faults, flushes, and sharing across spaces.
#include "kernel/memory/address_space.h"

#include "tests/host/memory_objects/machine.h"

#include <gtest/gtest.h>

namespace annulus::test {
namespace {

using kernel::AddressSpace;
using kernel::Budget;
using kernel::MemoryObject;
using kernel::Ref;

constexpr uint64_t page = abi::page_size;
constexpr uint64_t read_only = abi::map_read;
constexpr uint64_t read_write = abi::map_read | abi::map_write;
constexpr uint64_t read_execute = abi::map_read | abi::map_execute;
constexpr uint64_t all_access = 7;

class AddressSpaces : public testing::Test {
protected:
    AddressSpaces() {
        EXPECT_TRUE(AddressSpace::create(space, *budget, 7).ok());
        EXPECT_TRUE(AddressSpace::create(other, *budget, 7).ok());
        machine.load(0, &space);
    }
    ~AddressSpaces() override {
        machine.load(0, nullptr);
        machine.load(1, nullptr);
        while (!space.destroy_some()) machine.advance();
        while (!other.destroy_some()) machine.advance();
        machine.settle();
        EXPECT_EQ(Machine::used(*budget, abi::Resource::pages), 0u);
        EXPECT_EQ(Machine::used(*budget, abi::Resource::kernel_bytes), 0u);
        EXPECT_EQ(machine.pages_in_use(), before);
    }
    Ref<MemoryObject> make(uint64_t pages, uint64_t flags = 0) {
        return MemoryObject::create(*budget, pages, flags).value();
    }
    Result<uint64_t> map(MemoryObject& memory, uint64_t address, uint64_t flags,
                         uint64_t allowed = all_access) {
        return space.map(memory, 0, memory.pages() * page, address, flags, allowed);
    }
    Ref<MemoryObject> clone(MemoryObject& source) {
        auto made = source.create_clone(*budget, 0, source.pages()).value();
        while (!source.clone_some(*made, 0).value()) {
        }
        while (!source.protect_some(*made, 0)) {
        }
        machine.flush();
        return made;
    }

    Machine machine{4096};
    uint64_t before = machine.pages_in_use();
    Ref<Budget> budget = machine.budget(2000, 2000, 1 << 20);
    AddressSpace space;
    AddressSpace other;
};

TEST_F(AddressSpaces, ChosenAddressesAreTheSameForASeedAndApart) {
    auto memory = make(3);
    const uint64_t first = map(*memory, 0, read_write).value();
    const uint64_t second = map(*memory, 0, read_write).value();
    EXPECT_EQ(other.map(*memory, 0, 3 * page, 0, read_write, all_access).value(), first);
    EXPECT_EQ(other.map(*memory, 0, 3 * page, 0, read_write, all_access).value(), second);
    EXPECT_TRUE(second >= first + 4 * page || first >= second + 4 * page);
    EXPECT_GE(first, uint64_t{1} << 45);
    EXPECT_LT(second, abi::user_end);
    EXPECT_EQ(space.mapped_pages(), 6u);
}

TEST_F(AddressSpaces, HostileOperandsAreRefused) {
    auto memory = make(4);
    EXPECT_EQ(map(*memory, 0, 16 | read_only).status(), Status(Error::not_supported, 4));
    EXPECT_EQ(map(*memory, 0, abi::map_write).status(), Status(Error::bad_argument, 4));
    EXPECT_EQ(map(*memory, 0, all_access).error(), Error::permission);
    EXPECT_EQ(map(*memory, 0, read_write, read_only).error(), Error::permission);
    EXPECT_EQ(map(*memory, 1, read_only).status(), Status(Error::bad_argument, 3));
    const uint64_t fixed = read_only | abi::map_fixed;
    EXPECT_EQ(map(*memory, 0, fixed).error(), Error::out_of_range);
    EXPECT_EQ(map(*memory, abi::user_begin - page, fixed).error(), Error::out_of_range);
    EXPECT_EQ(map(*memory, abi::user_end - page, fixed).error(), Error::out_of_range);
    EXPECT_EQ(map(*memory, ~(page - 1), fixed).error(), Error::out_of_range);
    EXPECT_EQ(map(*memory, abi::user_end - 4 * page, fixed).value(), abi::user_end - 4 * page);
    EXPECT_EQ(map(*memory, abi::user_end - 6 * page, fixed).error(), Error::overlap);
    EXPECT_EQ(space.map(*memory, page, 4 * page, 0, read_only, 7).error(), Error::out_of_range);
    EXPECT_EQ(space.map(*memory, ~(page - 1), page, 0, read_only, 7).error(), Error::out_of_range);
    EXPECT_EQ(space.map(*memory, page, ~(page - 1), 0, read_only, 7).error(), Error::out_of_range);
    EXPECT_EQ(space.map(*memory, 0, 0, 0, read_only, 7).status(), Status(Error::bad_argument, 2));
    bool flush = false;
    EXPECT_EQ(space.unmap(abi::user_end, ~(page - 1), flush).error(), Error::out_of_range);
    EXPECT_EQ(space.unmap(2 * page, page, flush).error(), Error::out_of_range);
    EXPECT_EQ(space.protect(0, page, read_only, flush).error(), Error::out_of_range);
    EXPECT_EQ(space.resolve_fault(~uint64_t{0}, false, false).error(), Error::bad_address);
    EXPECT_EQ(space.resolve_fault(0, false, false).error(), Error::bad_address);
}

TEST_F(AddressSpaces, AccessIsWhatWasAskedFor) {
    auto memory = make(8);
    const uint64_t at = map(*memory, 0, read_only, read_only | abi::map_execute).value();
    EXPECT_EQ(machine.read(0, at).value(), 0u);
    EXPECT_EQ(machine.write(0, at, 1).error(), Error::permission);
    EXPECT_EQ(space.resolve_fault(at, false, true).error(), Error::permission);
    bool flush = false;
    EXPECT_EQ(space.protect(at, at + page, read_write, flush).error(), Error::permission);
    EXPECT_EQ(space.protect(at, at + page, all_access, flush).error(), Error::permission);
    EXPECT_EQ(space.protect(at, at + page, read_execute, flush).value(), at + page);
    EXPECT_FALSE(flush);
    EXPECT_TRUE(space.resolve_fault(at, false, true).ok());
    EXPECT_EQ(space.protect(at, at + 2 * page, read_only, flush).value(), at + page);
    EXPECT_TRUE(flush);
    EXPECT_EQ(space.resolve_fault(at, false, true).error(), Error::permission);
    EXPECT_EQ(space.protect(at + 7 * page, at + 9 * page, read_only, flush).value(), at + 8 * page);
    EXPECT_EQ(space.protect(at + 8 * page, at + 9 * page, read_only, flush).error(),
              Error::out_of_range);
}

TEST_F(AddressSpaces, AFaultMapsNeighboursThatExist) {
    auto memory = make(64, abi::memory_on_demand);
    uint64_t offset = 0;
    ASSERT_TRUE(memory->commit_some(offset, 4 * page).ok());
    const uint64_t base = uint64_t{1} << 30;
    ASSERT_TRUE(map(*memory, base, read_write | abi::map_fixed).ok());
    const uint64_t used = Machine::used(*budget, abi::Resource::pages);
    ASSERT_TRUE(machine.write(0, base + 5 * page, 1).ok());
    // One page, three tables; the neighbours cost nothing.
    EXPECT_EQ(Machine::used(*budget, abi::Resource::pages), used + 4);
    EXPECT_EQ(memory->committed(), 5u);
}

TEST_F(AddressSpaces, AddressesAreFreeAfterTheFlush) {
    auto memory = make(4);
    machine.load(1, &space);
    const uint64_t at = map(*memory, 0, read_write).value();
    ASSERT_TRUE(machine.write(0, at, 1).ok());
    bool flush = false;
    EXPECT_EQ(space.unmap(at, at + 4 * page, flush).value(), at + 4 * page);
    EXPECT_TRUE(flush);
    EXPECT_EQ(space.resolve_fault(at, false, false).error(), Error::bad_address);
    EXPECT_EQ(map(*memory, at, read_only | abi::map_fixed).error(), Error::overlap);
    machine.settle();
    EXPECT_EQ(map(*memory, at, read_only | abi::map_fixed).value(), at);
    EXPECT_EQ(machine.read(0, at).value(), 1u);
}

// Few pages and many: their translations are dropped one by one, or all.
TEST_F(AddressSpaces, AddressesAreFreeAtOnceWhenNoOtherCpuCouldKnow) {
    for (const uint64_t pages : {4, 16, 17, 40}) {
        auto memory = make(pages);
        // The other CPU had translations, and lost them when it loaded another page table.
        machine.load(1, &space);
        const uint64_t at = map(*memory, 0, read_write).value();
        ASSERT_TRUE(machine.write(1, at + page, 1).ok());
        machine.load(1, &other);
        for (uint64_t i = 0; i < pages; ++i) ASSERT_TRUE(machine.write(0, at + i * page, 1).ok());
        bool flush = false;
        EXPECT_EQ(space.unmap(at, at + pages * page, flush).value(), at + pages * page);
        EXPECT_FALSE(flush);
        EXPECT_TRUE(machine.idle());
        machine.load(1, &space);
        for (uint64_t i = 0; i < pages; ++i) {
            EXPECT_EQ(machine.read(0, at + i * page).error(), Error::bad_address);
            EXPECT_EQ(machine.read(1, at + i * page).error(), Error::bad_address);
        }
        machine.load(1, nullptr);
        EXPECT_EQ(map(*memory, at, read_only | abi::map_fixed).value(), at);
        EXPECT_EQ(machine.read(0, at).value(), 1u);
    }
}

TEST_F(AddressSpaces, AFaultMapsWhatIsThereOfItsBlockOnly) {
    // 40 pages that begin in the middle of a block and of whose memory some are missing; and the
    // last table of frames but one ends within a block.
    auto memory = make(1100, abi::memory_on_demand);
    const uint64_t base = (uint64_t{1} << 30) + 5 * page;
    ASSERT_TRUE(
        space.map(*memory, 1010 * page, 40 * page, base, read_write | abi::map_fixed, all_access)
            .ok());
    for (const uint64_t index : {1009, 1010, 1020, 1021, 1023, 1024, 1030, 1036, 1037, 1050}) {
        uint64_t offset = index * page;
        ASSERT_TRUE(memory->commit_some(offset, offset + page).ok());
    }
    // Pages 11 to 26 of the mapping are one block.
    ASSERT_TRUE(machine.write(0, base + 15 * page, 1).ok());
    EXPECT_EQ(memory->committed(), 11u);
    for (uint64_t i = 0; i < 40; ++i) {
        const uint64_t index = 1010 + i;
        const bool there = i == 15 || index == 1021 || index == 1023 || index == 1024 ||
                           index == 1030 || index == 1036;
        EXPECT_EQ(machine.mapped(space, base + i * page), there) << i;
    }
    EXPECT_FALSE(machine.mapped(space, base - page));
}

TEST_F(AddressSpaces, NoBudgetIsAFault) {
    auto poor = machine.budget(10, 100, 1 << 16);
    auto memory = MemoryObject::create(*poor, 1000, abi::memory_on_demand).value();
    const uint64_t at = map(*memory, 0, read_write).value();
    uint64_t touched = 0;
    while (machine.write(0, at + touched * page, 1).ok()) ++touched;
    EXPECT_EQ(touched, 9u);
    EXPECT_EQ(space.resolve_fault(at + touched * page, true, false).status(),
              Status(Error::no_budget, static_cast<uint16_t>(abi::Resource::pages)));
}

TEST_F(AddressSpaces, AWriterOfMappedAndClonedMemoryWaitsForTheFlush) {
    auto memory = make(2);
    machine.load(1, &other);
    const uint64_t here = map(*memory, 0, read_write).value();
    const uint64_t there = other.map(*memory, 0, 2 * page, 0, read_write, 3).value();
    ASSERT_TRUE(machine.write(0, here, 1).ok());
    ASSERT_EQ(machine.read(1, there).value(), 1u);
    auto copy = clone(*memory);
    EXPECT_EQ(machine.read(0, here).value(), 1u);
    EXPECT_EQ(machine.read(1, there).value(), 1u);
    EXPECT_EQ(space.resolve_fault(here, true, false).error(), Error::busy);
    EXPECT_EQ(space.resolve_fault(here, false, false).error(), Error::busy);
    machine.settle();
    ASSERT_TRUE(machine.write(0, here, 2).ok());
    EXPECT_EQ(machine.read(1, there).value(), 2u);
    uint64_t value = 0;
    ASSERT_TRUE(copy->copy_out(0, &value, 8).ok());
    EXPECT_EQ(value, 1u);
}

TEST_F(AddressSpaces, AWriterWaitsForReadersOnOtherCpus) {
    auto memory = make(1);
    machine.load(1, &space);
    const uint64_t at = map(*memory, 0, read_write).value();
    ASSERT_TRUE(machine.write(0, at, 1).ok());
    auto copy = clone(*memory);
    // Both CPUs keep a translation without the right to write.
    ASSERT_EQ(machine.read(0, at).value(), 1u);
    ASSERT_EQ(machine.read(1, at).value(), 1u);
    ASSERT_TRUE(machine.write(0, at, 2).ok());
    EXPECT_EQ(machine.read(1, at).value(), 2u);
}

TEST_F(AddressSpaces, AWriterAloneDoesNotWait) {
    auto memory = make(2);
    auto copy = clone(*memory);
    const uint64_t at = map(*copy, 0, read_write).value();
    const unsigned flushes = machine.flushes;
    EXPECT_TRUE(space.resolve_fault(at, true, false).ok());
    ASSERT_TRUE(machine.write(0, at, 1).ok());
    ASSERT_TRUE(machine.write(0, at + page, 1).ok());
    EXPECT_EQ(machine.flushes, flushes);
}

TEST_F(AddressSpaces, LongRangesAreUnmappedInSteps) {
    auto memory = make(300);
    uint64_t offset = 0;
    while (offset < 300 * page) ASSERT_TRUE(memory->commit_some(offset, 300 * page).ok());
    const uint64_t at = map(*memory, 0, read_write).value();
    for (uint64_t i = 0; i < 300; ++i) ASSERT_TRUE(machine.write(0, at + i * page, i).ok());
    bool flush = false;
    unsigned steps = 0;
    for (uint64_t reached = at; reached < at + 300 * page; ++steps) {
        reached = space.unmap(reached, at + 300 * page, flush).value();
    }
    EXPECT_GE(steps, 5u);
    EXPECT_EQ(space.mapped_pages(), 0u);
}

}  // namespace
}  // namespace annulus::test
