// SPDX-License-Identifier: MIT
// Memory objects: kinds, sizes, copies in and out, ranges, clones.

#include "tests/abi/memory/pages.h"

#include <string.h>

#include <bit>
#include <memory>

const char* const annulus::test::suite = "memory";

namespace annulus::test::cases {

namespace {

constexpr auto pages_index = static_cast<unsigned>(abi::Resource::pages);

}  // namespace

}  // namespace annulus::test::cases

TEST(operands, "sizes and flags that make no sense are refused") {
    const auto budget = test.budget();
    const auto before = settled_ledger(budget);
    EXPECT(budget.create_memory(0, 0).status() == Status(Error::bad_argument, 0));
    EXPECT_ERROR(budget.create_memory(abi::memory_pages_max + 1, abi::memory_on_demand),
                 Error::limit);
    EXPECT_ERROR(budget.create_memory(~uint64_t{0}, 0), Error::limit);
    EXPECT_ERROR(budget.create_memory(uint64_t{1} << 52, 0), Error::limit);
    EXPECT(budget.create_memory(1, abi::memory_on_demand | abi::memory_contiguous).status() ==
           Status(Error::bad_argument, 1));
    EXPECT(budget.create_memory(1, 8).status() == Status(Error::not_supported, 1));
    EXPECT(budget.create_memory(abi::memory_pages_max, 0).status() ==
           Status(Error::no_budget, pages_index));
    EXPECT(!budget.create_memory(abi::memory_pages_max, abi::memory_contiguous).ok());
    expect_returned(test, budget, before, "after refusals");
}

TEST(sizes, "an object says its size, flags and pages, and its id is the same for all handles") {
    struct Kind {
        uint64_t flags, committed;
    };
    constexpr Kind kinds[] = {{0, 5},
                              {abi::memory_on_demand, 0},
                              {abi::memory_contiguous, 5},
                              {abi::memory_revocable, 5},
                              {abi::memory_on_demand | abi::memory_revocable, 0}};
    uint64_t last_id = 0;
    for (const Kind& kind : kinds) {
        const auto memory = MUST(test.budget().create_memory(5, kind.flags));
        const auto size = MUST(memory.get_size());
        EXPECT_EQ(size.pages, 5u);
        EXPECT_EQ(size.flags, kind.flags);
        EXPECT_EQ(size.committed, kind.committed);
        EXPECT(size.id > last_id);
        last_id = size.id;
        const auto second = MUST(memory.get_duplicate(abi::all_rights, 0));
        EXPECT_EQ(MUST(MemoryReference(second.handle.value()).get_size()).id, size.id);
    }
}

TEST(largest, "the largest object there may be is made on demand and costs nothing until touched") {
    const auto before = settled_ledger(test.budget());
    {
        const auto memory =
            MUST(test.budget().create_memory(abi::memory_pages_max, abi::memory_on_demand));
        const auto made = MUST(test.budget().get_ledger());
        EXPECT(made.used[pages_index] <= before.used[pages_index] + 4);
        EXPECT_OK(set_word(memory, abi::memory_pages_max * page - 8, 42));
        EXPECT_EQ(MUST(word_of(memory, abi::memory_pages_max * page - 8)), 42u);
        EXPECT_EQ(MUST(word_of(memory, 0)), 0u);
        EXPECT_EQ(MUST(memory.get_size()).committed, 1u);
    }
    expect_returned(test, test.budget(), before, "after the largest");
}

TEST(zeroed, "new pages are zero, whatever they held before") {
    constexpr uint64_t count = 200;
    for (const uint64_t flags : {uint64_t{0}, abi::memory_on_demand, abi::memory_contiguous}) {
        for (unsigned round = 0; round < 2; ++round) {
            const auto memory = MUST(test.budget().create_memory(count, flags));
            for (uint64_t i = 0; i < count; ++i) {
                EXPECT_EQ(MUST(word_of(memory, i * page + 8 * (i % 512))), 0u);
                EXPECT_OK(set_word(memory, i * page + 8 * (i % 512), ~uint64_t{0}));
            }
        }
    }
}

TEST(physical, "contiguous memory is one physical run; other memory has no address") {
    const auto run = MUST(test.budget().create_memory(8, abi::memory_contiguous));
    const uint64_t address = MUST(run.get_physical());
    EXPECT_EQ(address % page, 0u);
    const auto part = MUST(run.create_range(test.budget(), 3 * page, 2));
    EXPECT_EQ(MUST(part.get_physical()), address + 3 * page);
    const auto scattered = MUST(test.budget().create_memory(8, 0));
    EXPECT_ERROR(scattered.get_physical(), Error::wrong_state);
}

TEST(copy_bounds, "copies end at the object's last byte, and sums that overflow are refused") {
    constexpr uint64_t size = 2 * page;
    std::array<std::byte, 64> bytes = {};
    for (const uint64_t flags : {uint64_t{0}, abi::memory_on_demand, abi::memory_contiguous}) {
        const auto memory = MUST(test.budget().create_memory(2, flags));
        EXPECT_EQ(MUST(memory.read_bytes(size - 64, bytes)), 64u);
        EXPECT_OK(memory.write_bytes(size - 64, bytes));
        EXPECT_EQ(MUST(memory.read_bytes(size, std::span(bytes).first(0))), 0u);
        EXPECT_OK(memory.write_bytes(size, std::span(bytes).first(0)));
        for (const uint64_t offset : {size - 63, size, size + 1, uint64_t{1} << 52,
                                      ~uint64_t{0} - 63, ~uint64_t{0} - 31, ~uint64_t{0}}) {
            EXPECT_ERROR(memory.read_bytes(offset, bytes), Error::out_of_range);
            EXPECT_ERROR(memory.write_bytes(offset, bytes), Error::out_of_range);
        }
        EXPECT_ERROR(memory.read_bytes(size + 1, std::span(bytes).first(0)), Error::out_of_range);
    }
}

TEST(copy_content, "bytes come back as they were written, across pages, at odd offsets") {
    const auto memory = MUST(test.budget().create_memory(100, abi::memory_on_demand));
    const auto from = std::unique_ptr<std::byte[]>(new (std::nothrow) std::byte[90 * page]);
    const auto to = std::unique_ptr<std::byte[]>(new (std::nothrow) std::byte[90 * page]);
    if (from == nullptr || to == nullptr) return test.fail("no memory");
    for (uint64_t i = 0; i < 90 * page; ++i) from[i] = static_cast<std::byte>(i * 7 + i / 251);
    for (const uint64_t size : {uint64_t{1}, uint64_t{511}, uint64_t{513}, page + 1, 64 * page,
                                64 * page + 1, 90 * page}) {
        const uint64_t offset = page - 3;
        EXPECT_OK(memory.write_bytes(offset, {from.get(), size}));
        for (uint64_t done = 0; done < size;) {
            const size_t part =
                MUST(memory.read_bytes(offset + done, {to.get() + done, size - done}));
            if (part == 0) return test.fail("a read of {} bytes stops at {}", size, done);
            done += part;
        }
        EXPECT(memcmp(from.get(), to.get(), size) == 0);
    }
}

TEST(copy_addresses, "copies to and from what is not mapped, or not writable, answer bad_address") {
    const auto memory = MUST(test.budget().create_memory(1, 0));
    const auto target = MUST(test.budget().create_memory(2, 0));
    const uint64_t shown = MUST(test.process().map(target, 0, 2 * page, 0, abi::map_read));
    for (const uint64_t address :
         {uint64_t{0}, abi::user_begin - 1, shown + 2 * page - 4, abi::user_end - 4, abi::user_end,
          uint64_t{1} << 47, uint64_t{1} << 63, 0xffff800000000000, 0xffffffff80000000,
          ~uint64_t{0} - 7, ~uint64_t{0}}) {
        // Safety: the kernel refuses them.
        auto* bytes = reinterpret_cast<std::byte*>(address);
        EXPECT_ERROR(memory.read_bytes(0, {bytes, 8}), Error::bad_address);
        EXPECT_ERROR(memory.write_bytes(0, {bytes, 8}), Error::bad_address);
    }
    auto* read_only = reinterpret_cast<std::byte*>(shown);
    EXPECT_ERROR(memory.read_bytes(0, {read_only, 8}), Error::bad_address);
    EXPECT_OK(memory.write_bytes(0, {read_only, 8}));
    EXPECT_OK(test.process().map_unmap(shown, 2 * page));
}

TEST(copy_to_itself, "memory is copied to and from its own mapping") {
    const auto memory = MUST(test.budget().create_memory(4, abi::memory_on_demand));
    const uint64_t shown = MUST(test.process().map(memory, 0, 4 * page, 0, read_write));
    for (uint64_t i = 0; i < page; i += 8) word_at(shown + i) = i;
    auto* bytes = reinterpret_cast<std::byte*>(shown);  // Safety: mapped above
    EXPECT_OK(memory.write_bytes(page, {bytes, page}));
    EXPECT_EQ(MUST(memory.read_bytes(page, {bytes + 2 * page, page})), page);
    for (uint64_t i = 0; i < page; i += 8) EXPECT_EQ(word_at(shown + 2 * page + i) + 0, i);
    EXPECT_OK(test.process().map_unmap(shown, 4 * page));
}

TEST(on_demand, "pages appear, and are paid, at the first write; reading makes none") {
    const auto memory = MUST(test.budget().create_memory(1000, abi::memory_on_demand));
    const auto begin = settled_ledger(test.budget());
    EXPECT_EQ(MUST(word_of(memory, 500 * page)), 0u);
    EXPECT_EQ(MUST(memory.get_size()).committed, 0u);
    EXPECT_OK(set_word(memory, 500 * page, 1));
    EXPECT_OK(set_word(memory, 500 * page + 8, 1));
    EXPECT_OK(set_word(memory, 999 * page, 1));
    EXPECT_EQ(MUST(memory.get_size()).committed, 2u);
    const uint64_t used = MUST(test.budget().get_ledger()).used[pages_index];
    EXPECT(used >= begin.used[pages_index] + 2);
    EXPECT(used <= begin.used[pages_index] + 8);  // and tables
}

TEST(commit, "committing gives exactly the range its pages; its operands are checked") {
    const auto memory = MUST(test.budget().create_memory(300, abi::memory_on_demand));
    EXPECT(memory.set_commit(1, page).status() == Status(Error::bad_argument, 0));
    EXPECT(memory.set_commit(0, page + 1).status() == Status(Error::bad_argument, 1));
    EXPECT_ERROR(memory.set_commit(300 * page, page), Error::out_of_range);
    EXPECT_ERROR(memory.set_commit(0, 301 * page), Error::out_of_range);
    EXPECT_ERROR(memory.set_commit(0 - page, 2 * page), Error::out_of_range);
    EXPECT_OK(memory.set_commit(300 * page, 0));
    EXPECT_EQ(MUST(memory.get_size()).committed, 0u);
    EXPECT_OK(memory.set_commit(10 * page, 200 * page));
    EXPECT_EQ(MUST(memory.get_size()).committed, 200u);
    EXPECT_OK(memory.set_commit(0, 300 * page));
    EXPECT_EQ(MUST(memory.get_size()).committed, 300u);
}

TEST(budget_exceeded, "memory beyond the budget is refused whole, and nothing stays charged") {
    auto limits = usual_limits();
    amount(limits, abi::Resource::pages) = 50;
    const auto budget = MUST(test.budget().create_budget(limits));
    const auto before = settled_ledger(budget);
    EXPECT(budget.create_memory(51, 0).status() == Status(Error::no_budget, pages_index));
    EXPECT(budget.create_memory(51, abi::memory_contiguous).status() ==
           Status(Error::no_budget, pages_index));
    {
        // A run that is no power of two costs its own pages and no more.
        const auto run = MUST(budget.create_memory(33, abi::memory_contiguous));
        EXPECT_EQ(used(MUST(budget.get_ledger()), abi::Resource::pages), 33u);
    }
    expect_returned(test, budget, before, "after the run");
    {
        const auto memory = MUST(budget.create_memory(1000, abi::memory_on_demand));
        const auto commit = memory.set_commit(0, 1000 * page).status();
        EXPECT(commit == Status(Error::no_budget, pages_index));
        const auto write = set_word(memory, 999 * page, 1).status();
        EXPECT(write == Status(Error::no_budget, pages_index));
    }
    expect_returned(test, budget, before, "after refusals");
    EXPECT_OK(budget.create_memory(40, 0));
}

TEST(ranges, "a range is a part of the same memory, with the handle's rights") {
    const auto memory = MUST(test.budget().create_memory(10, abi::memory_on_demand));
    const auto range = MUST(memory.create_range(test.budget(), 2 * page, 4));
    EXPECT_OK(set_word(range, 8, 5));
    EXPECT_EQ(MUST(word_of(memory, 2 * page + 8)), 5u);
    EXPECT_OK(set_word(memory, 5 * page, 6));
    EXPECT_EQ(MUST(word_of(range, 3 * page)), 6u);
    EXPECT_ERROR(word_of(range, 4 * page), Error::out_of_range);
    const auto inner = MUST(range.create_range(test.budget(), 3 * page, 1));
    EXPECT_EQ(MUST(word_of(inner, 0)), 6u);
    const auto lesser = MUST(
        memory.get_duplicate(abi::right_of(abi::Verb::read) | abi::right_of(abi::Verb::create), 0));
    const auto narrow =
        MUST(MemoryReference(lesser.handle.value()).create_range(test.budget(), 0, 1));
    EXPECT_EQ(MUST(narrow.get_info()).rights,
              abi::right_of(abi::Verb::read) | abi::right_of(abi::Verb::create));
    EXPECT_ERROR(set_word(narrow, 0, 1), Error::no_right);
    const auto size = MUST(inner.get_size());
    EXPECT_EQ(size.pages, 1u);
    EXPECT_EQ(size.committed, 1u);
}

TEST(range_operands, "ranges and clones beyond the object, empty or unaligned are refused") {
    const auto memory = MUST(test.budget().create_memory(4, 0));
    for (const bool clone : {false, true}) {
        const auto part = [&](uint64_t offset, uint64_t pages) {
            return clone ? memory.create_clone(test.budget(), offset, pages).status()
                         : memory.create_range(test.budget(), offset, pages).status();
        };
        EXPECT_OK(part(0, 4));
        EXPECT_OK(part(3 * page, 1));
        EXPECT(part(1, 1) == Status(Error::bad_argument, 1));
        EXPECT(part(0, 0) == Status(Error::bad_argument, 2));
        EXPECT_ERROR(part(0, 5), Error::out_of_range);
        EXPECT_ERROR(part(page, 4), Error::out_of_range);
        EXPECT_ERROR(part(4 * page, 1), Error::out_of_range);
        EXPECT_ERROR(part(page, ~uint64_t{0}), Error::out_of_range);
        EXPECT_ERROR(part(page, uint64_t{1} << 52), Error::out_of_range);
        EXPECT_ERROR(part(0 - page, 2), Error::out_of_range);
    }
}

TEST(range_outlives, "a range keeps its part when the object's handle is closed") {
    const auto before = settled_ledger(test.budget());
    {
        auto memory = MUST(test.budget().create_memory(4, 0));
        EXPECT_OK(set_word(memory, 3 * page, 9));
        auto range = MUST(memory.create_range(test.budget(), 3 * page, 1));
        memory.close();
        EXPECT_EQ(MUST(word_of(range, 0)), 9u);
    }
    expect_returned(test, test.budget(), before, "after both");
}

TEST(may_fault, "revocable memory is refused where it must not vanish") {
    const auto memory = MUST(test.budget().create_memory(1, abi::memory_revocable));
    EXPECT_ERROR(test.budget().create_semaphore(abi::semaphore_counting, 0, memory, 0),
                 Error::may_fault);
    EXPECT_ERROR(test.budget().create_table(1, 64, memory, 0), Error::may_fault);
    const auto range = MUST(memory.create_range(test.budget(), 0, 1));
    EXPECT_ERROR(test.budget().create_semaphore(abi::semaphore_counting, 0, range, 0),
                 Error::may_fault);
    const auto firm = MUST(test.budget().create_memory(1, 0));
    EXPECT_OK(test.budget().create_semaphore(abi::semaphore_counting, 0, firm, 0));
}
