// SPDX-License-Identifier: MIT
// Mapping, unmapping and protecting.

#include "tests/abi/memory/pages.h"

#include "runtime/clock.h"
#include "tests/guest/small_process.h"

namespace annulus::test::cases {

namespace {

constexpr uint64_t fixed = abi::map_fixed | read_write;
constexpr uint64_t place = 0x7000'0000'0000;  // where nothing else lies

}  // namespace

}  // namespace annulus::test::cases

TEST(map_operands, "each wrong operand of map answers its index or its own error") {
    const auto process = test.process();
    const auto memory = MUST(test.budget().create_memory(4, 0));
    const auto map = [&](uint64_t offset, uint64_t length, uint64_t address, uint64_t flags) {
        return process.map(memory, offset, length, address, flags).status();
    };
    const uint64_t mapped = MUST(process.get_state()).mapped_pages;
    const auto bad = [](uint16_t index) { return Status(Error::bad_argument, index); };
    EXPECT(map(1, page, 0, read_write) == bad(1));
    EXPECT(map(0, 0, 0, read_write) == bad(2));
    EXPECT(map(0, page - 1, 0, read_write) == bad(2));
    EXPECT(map(0, page, place + 1, read_write) == bad(3));
    EXPECT(map(0, page, 0, 0) == bad(4));
    EXPECT(map(0, page, 0, abi::map_write) == bad(4));
    EXPECT(map(0, page, 0, abi::map_execute) == bad(4));
    EXPECT_ERROR(map(0, page, 0, 16 | read_write), Error::not_supported);
    EXPECT_ERROR(map(0, 5 * page, 0, read_write), Error::out_of_range);
    EXPECT_ERROR(map(4 * page, page, 0, read_write), Error::out_of_range);
    EXPECT_ERROR(map(page, 0 - page, 0, read_write), Error::out_of_range);
    EXPECT_ERROR(map(0 - page, 2 * page, 0, read_write), Error::out_of_range);
    EXPECT_EQ(MUST(process.get_state()).mapped_pages, mapped);
}

TEST(map_limits, "fixed mappings reach from 64 KiB to the last user page and no further") {
    const auto process = MUST(test.budget().create_process(16, 0));
    const auto memory = MUST(test.budget().create_memory(4, 0));
    const auto map = [&](uint64_t address, uint64_t pages) {
        return process.map(memory, 0, pages * page, address, fixed).status();
    };
    // The last of them ends with the byte user_end - 1; user_begin - 1 is in none.
    EXPECT_OK(map(abi::user_begin, 1));
    EXPECT_OK(map(abi::user_end - 4 * page, 4));
    for (const uint64_t address :
         {uint64_t{0}, page, abi::user_begin - page, abi::user_end, uint64_t{1} << 47,
          uint64_t{1} << 63, 0xffff800000000000, 0xffffffff80000000, 0 - page}) {
        EXPECT_ERROR(map(address, 1), Error::out_of_range);
    }
    EXPECT_ERROR(map(abi::user_begin - page, 2), Error::out_of_range);
    EXPECT_ERROR(map(abi::user_end - page, 2), Error::out_of_range);
    EXPECT_EQ(MUST(process.get_state()).mapped_pages, 5u);
}

TEST(map_overlap, "a fixed mapping over another is refused; a wished-for address is only a wish") {
    const auto process = MUST(test.budget().create_process(16, 0));
    const auto memory = MUST(test.budget().create_memory(4, 0));
    EXPECT_EQ(MUST(process.map(memory, 0, 4 * page, place, fixed)), place);
    for (const int64_t shift : {-3, -1, 0, 1, 3}) {
        const uint64_t address = place + static_cast<uint64_t>(shift) * page;
        EXPECT_ERROR(process.map(memory, 0, 4 * page, address, fixed), Error::overlap);
        const uint64_t elsewhere = MUST(process.map(memory, 0, 4 * page, address, read_write));
        EXPECT(elsewhere + 4 * page <= place || elsewhere >= place + 4 * page);
    }
    EXPECT_OK(process.map(memory, 0, 4 * page, place + 4 * page, fixed));
    EXPECT_OK(process.map(memory, 0, 4 * page, place - 4 * page, fixed));
    EXPECT_EQ(MUST(process.map(memory, 0, page, place + 64 * page, read_write)), place + 64 * page);
}

TEST(map_guarded, "addresses that the kernel chooses have unmapped pages around them") {
    const auto probe = MUST(Probe::create(test.budget()));
    const auto memory = MUST(test.budget().create_memory(1, 0));
    uint64_t addresses[50];
    for (uint64_t& address : addresses) {
        address = MUST(test.process().map(memory, 0, page, 0, read_write));
        EXPECT(probe.writable(address));
        EXPECT(!probe.readable(address - 1));
        EXPECT(!probe.readable(address + page));
    }
    for (const uint64_t address : addresses) EXPECT_OK(test.process().map_unmap(address, page));
}

TEST(write_or_execute, "no mapping is writable and executable, neither at once nor after protect") {
    const auto process = test.process();
    const auto memory = MUST(test.budget().create_memory(1, 0));
    constexpr uint64_t all = read_write | abi::map_execute;
    EXPECT_ERROR(process.map(memory, 0, page, 0, all), Error::permission);
    EXPECT_ERROR(process.map(memory, 0, page, place, all | abi::map_fixed), Error::permission);
    const uint64_t address = MUST(process.map(memory, 0, page, 0, read_write));
    EXPECT_ERROR(process.map_protect(address, page, all), Error::permission);
    word_at(address) = 1;
    EXPECT_OK(process.map_protect(address, page, abi::map_read | abi::map_execute));
    EXPECT(!MUST(Probe::create(test.budget())).writable(address));
    EXPECT_ERROR(process.map_protect(address, page, all), Error::permission);
    EXPECT_OK(process.map_protect(address, page, read_write));
    word_at(address) = 2;
    EXPECT_OK(process.map_unmap(address, page));
}

TEST(protect_rights, "protect gives no more than the handle allowed when it was mapped") {
    const auto process = test.process();
    const auto memory = MUST(test.budget().create_memory(1, 0));
    const auto reader = MUST(
        memory.get_duplicate(abi::right_of(abi::Verb::map) | abi::right_of(abi::Verb::read), 0));
    const uint64_t address =
        MUST(process.map(MemoryReference(reader.handle.value()), 0, page, 0, abi::map_read));
    EXPECT_ERROR(process.map_protect(address, page, read_write), Error::permission);
    EXPECT_ERROR(process.map_protect(address, page, abi::map_read | abi::map_execute),
                 Error::permission);
    EXPECT_OK(process.map_protect(address, page, abi::map_read));
    EXPECT_OK(process.map_unmap(address, page));
}

TEST(protect_operands, "protect checks alignment, range and holes") {
    const auto process = test.process();
    const auto memory = MUST(test.budget().create_memory(4, 0));
    const uint64_t address = MUST(process.map(memory, 0, 4 * page, 0, read_write));
    const auto protect = [&](uint64_t at, uint64_t length, uint64_t flags) {
        return process.map_protect(at, length, flags).status();
    };
    EXPECT(protect(address + 1, page, abi::map_read) == Status(Error::bad_argument, 0));
    EXPECT(protect(address, 1, abi::map_read) == Status(Error::bad_argument, 1));
    EXPECT(protect(address, 0, abi::map_read) == Status(Error::bad_argument, 1));
    EXPECT(protect(address, page, 0) == Status(Error::bad_argument, 2));
    EXPECT(protect(address, page, abi::map_write) == Status(Error::bad_argument, 2));
    EXPECT_ERROR(protect(address, 5 * page, abi::map_read), Error::out_of_range);
    EXPECT_ERROR(protect(address - page, 2 * page, abi::map_read), Error::out_of_range);
    EXPECT_ERROR(protect(0, page, abi::map_read), Error::out_of_range);
    EXPECT_ERROR(protect(abi::user_end, page, abi::map_read), Error::out_of_range);
    EXPECT_ERROR(protect(address, 0 - page, abi::map_read), Error::out_of_range);
    EXPECT_ERROR(protect(0 - page, page, abi::map_read), Error::out_of_range);
    EXPECT_OK(process.map_unmap(address, 4 * page));
}

TEST(protect_part, "protecting the middle of a mapping changes that and nothing beside it") {
    const auto probe = MUST(Probe::create(test.budget()));
    const auto memory = MUST(test.budget().create_memory(9, abi::memory_on_demand));
    const uint64_t address = MUST(test.process().map(memory, 0, 9 * page, 0, read_write));
    for (uint64_t i = 0; i < 9; ++i) word_at(address + i * page) = i;
    EXPECT_OK(test.process().map_protect(address + 3 * page, 3 * page, abi::map_read));
    for (uint64_t i = 0; i < 9; ++i) {
        EXPECT(probe.readable(address + i * page));
        EXPECT_EQ(probe.writable(address + i * page), i < 3 || i > 5);
    }
    EXPECT_OK(test.process().map_protect(address, 9 * page, read_write));
    for (uint64_t i = 0; i < 9; ++i) {
        EXPECT_EQ(word_at(address + i * page) + 0, i);
        word_at(address + i * page) = i + 10;
        EXPECT_EQ(MUST(word_of(memory, i * page)), i + 10);
    }
    EXPECT_OK(test.process().map_unmap(address, 9 * page));
}

TEST(unmap_parts,
     "unmapping a part leaves the rest; holes are no error; the memory keeps its data") {
    const auto before = settled_ledger(test.budget());
    {
        const auto probe = MUST(Probe::create(test.budget()));
        const auto memory = MUST(test.budget().create_memory(9, 0));
        const uint64_t pages = MUST(test.process().get_state()).mapped_pages;
        const uint64_t address = MUST(test.process().map(memory, 0, 9 * page, place, fixed));
        for (uint64_t i = 0; i < 9; ++i) word_at(address + i * page) = i;
        EXPECT_OK(test.process().map_unmap(address + 3 * page, 3 * page));
        EXPECT_EQ(MUST(test.process().get_state()).mapped_pages, pages + 6);
        for (uint64_t i = 0; i < 9; ++i) {
            EXPECT_EQ(probe.readable(address + i * page), i < 3 || i > 5);
        }
        EXPECT_EQ(word_at(address + 8 * page) + 0, 8u);
        EXPECT_OK(test.process().map(memory, 4 * page, page, address + 4 * page, fixed));
        EXPECT_EQ(word_at(address + 4 * page) + 0, 4u);
        EXPECT_OK(test.process().map_unmap(address - 4 * page, 32 * page));
        for (uint64_t i = 0; i < 9; ++i) EXPECT(!probe.readable(address + i * page));
        EXPECT_OK(test.process().map_unmap(address, 9 * page));
        EXPECT_EQ(MUST(test.process().get_state()).mapped_pages, pages);
        EXPECT_EQ(MUST(word_of(memory, 5 * page)), 5u);
    }
    expect_returned(test, test.budget(), before, "after the parts", 3);
}

TEST(unmap_operands, "unmap checks alignment and range") {
    const auto unmap = [&](uint64_t at, uint64_t length) {
        return test.process().map_unmap(at, length).status();
    };
    EXPECT(unmap(place + 1, page) == Status(Error::bad_argument, 0));
    EXPECT(unmap(place, 0) == Status(Error::bad_argument, 1));
    EXPECT(unmap(place, 1) == Status(Error::bad_argument, 1));
    for (const uint64_t at : {uint64_t{0}, abi::user_begin - page, abi::user_end, uint64_t{1} << 47,
                              0xffff800000000000, 0 - page}) {
        EXPECT_ERROR(unmap(at, page), Error::out_of_range);
    }
    EXPECT_ERROR(unmap(abi::user_begin, abi::user_end), Error::out_of_range);
    EXPECT_ERROR(unmap(place, 0 - place), Error::out_of_range);
    EXPECT_ERROR(unmap(place, 0 - page), Error::out_of_range);
}

TEST(unmap_everything, "a whole address space is unmapped at once, and its tables are given back") {
    const auto before = settled_ledger(test.budget());
    {
        const auto code = MUST(make_small_code(test.budget()));
        const auto process = MUST(SmallProcess::create(test.budget(), code));
        EXPECT_OK(process.process().map_unmap(abi::user_begin, abi::user_end - abi::user_begin));
        EXPECT_EQ(MUST(process.process().get_state()).mapped_pages, 0u);
    }
    expect_returned(test, test.budget(), before, "after the process");
}

TEST(unmap_big, "big mappings go in chunks, full or empty, and every page is gone") {
    const auto before = settled_ledger(test.budget());
    {
        constexpr uint64_t count = 3000;
        const auto probe = MUST(Probe::create(test.budget()));
        const auto memory = MUST(test.budget().create_memory(count, abi::memory_on_demand));
        const uint64_t full = MUST(test.process().map(memory, 0, count * page, 0, read_write));
        for (uint64_t i = 0; i < count; ++i) word_at(full + i * page) = i;
        EXPECT_OK(test.process().map_unmap(full, count * page));
        for (uint64_t i = 0; i < count; i += 7) EXPECT(!probe.readable(full + i * page));
        // Paid by the mapper, so that it need not reserve all of it.
        const auto huge =
            MUST(own_budget(test).create_memory(abi::memory_pages_max, abi::memory_on_demand));
        constexpr uint64_t size = abi::memory_pages_max * page;
        const uint64_t empty = MUST(test.process().map(huge, 0, size, 0, read_write));
        word_at(empty) = 1;
        word_at(empty + size / 2) = 2;
        word_at(empty + size - page) = 3;
        const uint64_t begun = now();
        EXPECT_OK(test.process().map_unmap(empty, size));
        report_count("microseconds to unmap 64 GiB with 3 pages", (now() - begun) / 1000);
        EXPECT(!probe.readable(empty + size / 2));
    }
    expect_returned(test, test.budget(), before, "after big mappings", 20);
}

TEST(same_page_twice, "one object mapped twice shows the same bytes") {
    const auto memory = MUST(test.budget().create_memory(2, abi::memory_on_demand));
    const uint64_t first = MUST(test.process().map(memory, 0, 2 * page, 0, read_write));
    const uint64_t second = MUST(test.process().map(memory, page, page, 0, read_write));
    word_at(first + page) = 1;
    EXPECT_EQ(word_at(second) + 0, 1u);
    word_at(second + 8) = 2;
    EXPECT_EQ(word_at(first + page + 8) + 0, 2u);
    EXPECT_OK(test.process().map_unmap(first, 2 * page));
    EXPECT_EQ(word_at(second + 8) + 0, 2u);
    EXPECT_OK(test.process().map_unmap(second, page));
}

TEST(unpaid_page, "an on-demand page that nobody can pay is a fault of its own kind") {
    auto limits = usual_limits();
    amount(limits, abi::Resource::pages) = 40;
    const auto before = settled_ledger(test.budget());
    {
        const auto budget = MUST(test.budget().create_budget(limits));
        const auto code = MUST(make_small_code(test.budget()));
        const auto process = MUST(SmallProcess::create(budget, code));
        const auto memory = MUST(budget.create_memory(100, abi::memory_on_demand));
        constexpr uint64_t target = 0x900000;
        EXPECT_OK(
            process.process().map(memory, 0, 100 * page, target, abi::map_fixed | read_write));
        // Takes what is left.
        uint64_t taken = 0;
        while (taken < 99 && memory.set_commit(taken * page, page).ok()) ++taken;
        EXPECT(taken < 99);
        const auto ended =
            MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
        EXPECT_OK(process.process().watch_exit(ended));
        const auto thread = process.start(small_write, target + 99 * page);
        if (thread.ok()) {
            EXPECT_OK(wait_for(ended, Deadline::after(seconds(10))));
            EXPECT_EQ(MUST(thread->get_state()).fault, abi::FaultKind::no_memory);
        } else {
            EXPECT_EQ(thread.error(), Error::no_budget);
        }
        // The kernel's copies say the cause.
        EXPECT_ERROR(set_word(memory, 99 * page, 1), Error::no_budget);
    }
    expect_returned(test, test.budget(), before, "after the poor budget");
}
