// SPDX-License-Identifier: MIT
// Tests of memory objects: kinds, charges, copies, ranges, clones, pins, and the payer's death.
#include "tests/host/memory_objects/machine.h"

#include <gtest/gtest.h>

namespace annulus::test {
namespace {

using kernel::Budget;
using kernel::FrameDirectory;
using kernel::MemoryKind;
using kernel::MemoryObject;
using kernel::Ref;

constexpr uint64_t page = abi::page_size;

class MemoryObjects : public testing::Test {
protected:
    Machine machine{4096};
    uint64_t before = machine.pages_in_use();
    Ref<Budget> payer = machine.budget(2000, 2000, 1 << 20);

    uint64_t paid() { return Machine::used(*payer, abi::Resource::pages); }
    Ref<MemoryObject> make(uint64_t pages, uint64_t flags = 0) {
        Ref<MemoryObject> memory = MemoryObject::create(*payer, pages, flags).value();
        uint64_t done = 0;
        while (done < pages * page && !(flags & abi::memory_on_demand)) {
            EXPECT_TRUE(memory->commit_some(done, pages * page).ok());
        }
        return memory;
    }
    uint64_t word(MemoryObject& memory, uint64_t index) {
        uint64_t value = ~uint64_t{0};
        EXPECT_TRUE(memory.copy_out(index * page, &value, 8).ok());
        return value;
    }
    void set(MemoryObject& memory, uint64_t index, uint64_t value) {
        EXPECT_TRUE(memory.copy_in(index * page, &value, 8).ok());
    }
    Ref<MemoryObject> clone(MemoryObject& source, uint64_t first, uint64_t pages) {
        Ref<MemoryObject> made = source.create_clone(*payer, first * page, pages).value();
        const auto at = source.place().value();
        while (!at.root->clone_some(*made, at.first + first).value()) {
        }
        while (!at.root->protect_some(*made, at.first + first)) {
        }
        machine.flush();
        return made;
    }
    void expect_nothing_left() {
        machine.settle();
        EXPECT_EQ(paid(), 0u);
        EXPECT_EQ(Machine::used(*payer, abi::Resource::kernel_bytes), 0u);
        EXPECT_EQ(Machine::used(*payer, abi::Resource::pins), 0u);
        EXPECT_EQ(machine.pages_in_use(), before);
    }
};

TEST(FrameDirectorySize, TablesAreCountedByLevel) {
    EXPECT_EQ(FrameDirectory::tables_for(4), 0u);
    EXPECT_EQ(FrameDirectory::tables_for(5), 1u);
    EXPECT_EQ(FrameDirectory::tables_for(1024), 1u);
    EXPECT_EQ(FrameDirectory::tables_for(1025), 3u);
    EXPECT_EQ(FrameDirectory::tables_for(abi::memory_pages_max), 16384u + 16 + 1);
}

TEST_F(MemoryObjects, CommittedIsPaidAtOnceAndZero) {
    {
        auto memory = make(100);
        EXPECT_EQ(paid(), 101u);
        EXPECT_EQ(memory->committed(), 100u);
        for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(word(*memory, i), 0u);
        set(*memory, 99, 7);
        EXPECT_EQ(word(*memory, 99), 7u);
    }
    expect_nothing_left();
}

TEST_F(MemoryObjects, OnDemandIsPaidAtTheTouch) {
    {
        auto memory = make(1 << 20, abi::memory_on_demand);
        EXPECT_EQ(paid(), 0u);
        EXPECT_EQ(word(*memory, 5), 0u);
        EXPECT_EQ(paid(), 0u);
        set(*memory, 1000000, 3);
        EXPECT_EQ(paid(), 3u);
        set(*memory, 1000001, 3);
        EXPECT_EQ(paid(), 4u);
        EXPECT_EQ(memory->committed(), 2u);
    }
    expect_nothing_left();
}

TEST_F(MemoryObjects, ContiguousIsOneRun) {
    {
        auto memory = make(5, abi::memory_contiguous);
        const uint64_t base = memory->physical().value();
        for (uint64_t i = 0; i < 5; ++i) {
            EXPECT_EQ(memory->frame(i, true).value(), base + i * page);
            EXPECT_EQ(word(*memory, i), 0u);
        }
        EXPECT_EQ(paid(), 5u);
    }
    expect_nothing_left();
}

TEST_F(MemoryObjects, RefusesWhatMakesNoSense) {
    EXPECT_EQ(MemoryObject::create(*payer, 0, 0).error(), Error::bad_argument);
    EXPECT_EQ(MemoryObject::create(*payer, 1, 8).error(), Error::not_supported);
    EXPECT_EQ(MemoryObject::create(*payer, 1, 3).error(), Error::bad_argument);
    EXPECT_EQ(MemoryObject::create(*payer, abi::memory_pages_max + 1, 1).error(), Error::limit);
    EXPECT_TRUE(MemoryObject::create(*payer, abi::memory_pages_max, 1).ok());
    EXPECT_EQ(MemoryObject::create(*payer, 2000, 0).error(), Error::no_budget);
    {
        auto memory = make(2);
        uint64_t value = 0;
        EXPECT_EQ(memory->copy_in(2 * page - 7, &value, 8).error(), Error::out_of_range);
        EXPECT_EQ(memory->copy_out(~uint64_t{0}, &value, 8).error(), Error::out_of_range);
        EXPECT_EQ(memory->create_range(*payer, 1, 1).status(), Status(Error::bad_argument, 1));
        EXPECT_EQ(memory->create_range(*payer, page, 2).error(), Error::out_of_range);
        EXPECT_EQ(memory->create_range(*payer, 0, ~uint64_t{0}).error(), Error::out_of_range);
        EXPECT_EQ(memory->create_clone(*payer, 0, 0).status(), Status(Error::bad_argument, 2));
    }
    expect_nothing_left();
}

TEST_F(MemoryObjects, RangesOfRangesReachTheRoot) {
    {
        auto memory = make(10);
        auto outer = memory->create_range(*payer, 2 * page, 6).value();
        auto inner = outer->create_range(*payer, page, 3).value();
        EXPECT_EQ(inner->place()->root, memory.get());
        set(*inner, 2, 9);
        EXPECT_EQ(word(*memory, 5), 9u);
        EXPECT_EQ(inner->committed(), 3u);
        memory.reset();
        EXPECT_EQ(word(*inner, 2), 9u);
    }
    expect_nothing_left();
}

TEST_F(MemoryObjects, ClonesShareUntilSomebodyWrites) {
    {
        auto memory = make(20);
        for (uint64_t i = 0; i < 20; ++i) set(*memory, i, i + 1);
        const uint64_t in_use = machine.pages_in_use();
        auto copy = clone(*memory, 4, 10);
        EXPECT_EQ(paid(), 21u + 11);
        EXPECT_EQ(machine.pages_in_use(), in_use + 1);
        EXPECT_EQ(memory->frame(4, false).value(), copy->frame(0, false).value());
        set(*copy, 0, 100);
        set(*memory, 5, 200);
        EXPECT_EQ(machine.pages_in_use(), in_use + 3);
        EXPECT_EQ(word(*memory, 4), 5u);
        EXPECT_EQ(word(*copy, 0), 100u);
        EXPECT_EQ(word(*memory, 5), 200u);
        EXPECT_EQ(word(*copy, 1), 6u);
        auto second = clone(*copy, 0, 10);
        memory.reset();
        copy.reset();
        machine.settle();
        EXPECT_EQ(word(*second, 0), 100u);
        EXPECT_EQ(word(*second, 9), 14u);
    }
    expect_nothing_left();
}

TEST_F(MemoryObjects, PinnedPagesAreCopiedAtOnce) {
    {
        auto memory = make(3);
        ASSERT_TRUE(memory->pin(*payer, 1, 1).ok());
        auto copy = clone(*memory, 0, 3);
        EXPECT_NE(memory->frame(1, false).value(), copy->frame(1, false).value());
        EXPECT_EQ(memory->frame(2, false).value(), copy->frame(2, false).value());
        *static_cast<uint64_t*>(memory->pinned_address(1)) = 55;
        EXPECT_EQ(word(*memory, 1), 55u);
        EXPECT_EQ(word(*copy, 1), 0u);
        memory->unpin(*payer, 1, 1);
    }
    expect_nothing_left();
}

// A device or a peer writes to what is pinned. While that was a page which a clone shares, it would
// change both: whichever of them pins, by whichever way, has its own page first.
TEST_F(MemoryObjects, PinningMakesASharedPagePrivate) {
    for (const bool pin_clone : {false, true}) {
        for (const bool one : {false, true}) {
            auto memory = make(2);
            set(*memory, 0, 100);
            set(*memory, 1, 101);
            auto copy = clone(*memory, 0, 2);
            MemoryObject& pinned = pin_clone ? *copy : *memory;
            MemoryObject& other = pin_clone ? *memory : *copy;
            ASSERT_EQ(pinned.frame(1, false).value(), other.frame(1, false).value());
            const uint64_t charged = paid();
            std::byte* bytes = nullptr;
            if (one) {
                bytes = pinned.pin_one_paid(1).value();
            } else {
                ASSERT_TRUE(pinned.pin(*payer, 1, 1).ok());
                bytes = static_cast<std::byte*>(pinned.pinned_address(1));
            }
            auto* word_there = reinterpret_cast<uint64_t*>(bytes);
            EXPECT_EQ(*word_there, 101u);
            EXPECT_NE(pinned.frame(1, false).value(), other.frame(1, false).value());
            EXPECT_EQ(pinned.frame(0, false).value(), other.frame(0, false).value());
            EXPECT_EQ(paid(), charged);  // the copy was paid when the clone was made
            *word_there = 7;
            EXPECT_EQ(word(pinned, 1), 7u);
            EXPECT_EQ(word(other, 1), 101u);
            set(other, 1, 8);
            EXPECT_EQ(*word_there, 7u);
            if (one) {
                pinned.unpin_one_paid(bytes);
            } else {
                pinned.unpin(*payer, 1, 1);
            }
        }
    }
    expect_nothing_left();
}

TEST_F(MemoryObjects, RevocableMemoryIsNotPinned) {
    {
        auto memory = make(1, abi::memory_revocable);
        EXPECT_EQ(memory->pin(*payer, 0, 1).error(), Error::may_fault);
    }
    expect_nothing_left();
}

TEST_F(MemoryObjects, LargeObjectsEndInSteps) {
    {
        auto memory = make(1500);
    }
    EXPECT_FALSE(machine.idle());
    expect_nothing_left();
}

TEST_F(MemoryObjects, ThePayersDeathKeepsMappedPages) {
    auto mapper = machine.budget(100, 100, 1 << 16);
    kernel::AddressSpace space;
    ASSERT_TRUE(kernel::AddressSpace::create(space, *mapper, 1).ok());
    {
        auto memory = make(50);
        auto range = memory->create_range(*payer, 0, 2).value();
        for (uint64_t i = 0; i < 50; ++i) set(*memory, i, i + 1);
        const uint64_t at = space.map(*memory, 10 * page, 20 * page, 0, 3, 3).value();
        EXPECT_EQ(Machine::used(*mapper, abi::Resource::reserved_pages), 20u);
        machine.load(0, &space);
        EXPECT_EQ(machine.read(0, at).value(), 11u);
        kernel::end_object(*memory);
        EXPECT_EQ(paid(), 0u);
        machine.settle();
        EXPECT_EQ(range->place().error(), Error::closed);
        EXPECT_EQ(space.map(*memory, 0, page, 0, 1, 1).error(), Error::closed);
        EXPECT_EQ(Machine::used(*mapper, abi::Resource::reserved_pages), 0u);
        EXPECT_GE(Machine::used(*mapper, abi::Resource::pages), 20u);
        EXPECT_EQ(memory->committed(), 20u);
        memory.reset();
        EXPECT_EQ(machine.read(0, at + 19 * page).value(), 30u);
        EXPECT_TRUE(machine.write(0, at + 19 * page, 5).ok());
        bool flush = false;
        EXPECT_EQ(space.unmap(at, at + 5 * page, flush).value(), at + 5 * page);
        EXPECT_FALSE(flush);
        machine.settle();
        EXPECT_EQ(machine.read(0, at + 19 * page).value(), 5u);
    }
    machine.load(0, nullptr);
    while (!space.destroy_some()) machine.advance();
    machine.settle();
    EXPECT_EQ(Machine::used(*mapper, abi::Resource::pages), 0u);
    EXPECT_EQ(Machine::used(*mapper, abi::Resource::kernel_bytes), 0u);
    expect_nothing_left();
}

}  // namespace
}  // namespace annulus::test
