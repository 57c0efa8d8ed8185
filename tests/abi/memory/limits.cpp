// SPDX-License-Identifier: MIT
// The named limits of memory objects that take many of something: at the limit, and one above.

#include "tests/abi/memory/pages.h"

#include "runtime/clock.h"
#include "runtime/deadline.h"

#include <memory>

namespace annulus::test::cases {
namespace {

constexpr uint64_t fixed = abi::map_fixed | read_write;
constexpr uint64_t place = 0x7000'0000'0000;  // where nothing else lies

// What `make` answers when it no longer answers limit: things leave in the background.
template <typename Make>
auto when_gone(Make make) {
    const Deadline end = Deadline::after(seconds(10));
    for (;;) {
        auto made = make();
        if (made.error() != Error::limit || now() >= end.at) return made;
    }
}

}  // namespace
}  // namespace annulus::test::cases

TEST(most_mappings, "an object has 16384 mappings; one more, and a split of one, answer limit") {
    const auto before = settled_ledger(test.budget());
    {
        const auto process = MUST(test.budget().create_process(16, 0));
        const auto memory = MUST(test.budget().create_memory(3, 0));
        const auto map = [&](uint64_t index, uint64_t pages) {
            return process.map(memory, 0, pages * page, place + index * 4 * page, fixed).status();
        };
        EXPECT_OK(map(0, 3));
        for (uint64_t i = 1; i < abi::mappings_per_memory_max && !test.failed(); ++i) {
            EXPECT_OK(map(i, 1));
        }
        const abi::BudgetLedger full = MUST(test.budget().get_ledger());
        // The one that would be mappings_per_memory_max + 1.
        EXPECT_ERROR(map(abi::mappings_per_memory_max, 1), Error::limit);
        EXPECT_ERROR(process.map_unmap(place + page, page), Error::limit);
        EXPECT_ERROR(process.map_protect(place + page, page, abi::map_read), Error::limit);
        EXPECT_EQ(MUST(process.get_state()).mapped_pages, abi::mappings_per_memory_max + 2);
        EXPECT_EQ(used(MUST(test.budget().get_ledger()), abi::Resource::reserved_pages),
                  used(full, abi::Resource::reserved_pages));
        // A hole in the middle takes two cuts, before the piece between them goes.
        EXPECT_OK(process.map_unmap(place + 4 * page, 8 * page));
        EXPECT_OK(process.map_unmap(place + page, page));
        EXPECT_OK(map(1, 1));
        EXPECT_ERROR(map(2, 1), Error::limit);
        EXPECT_OK(process.map_unmap(place, 3 * page));
        EXPECT_OK(map(2, 1));
    }
    expect_returned(test, test.budget(), before, "after the most mappings", 3);
}

TEST(most_ranges, "an object has 16384 ranges; one more answers limit, until one is gone") {
    const auto before = settled_ledger(test.budget());
    {
        const auto memory = MUST(test.budget().create_memory(2, 0));
        const auto ranges =
            std::unique_ptr<Memory[]>(new (std::nothrow) Memory[abi::mappings_per_memory_max]);
        EXPECT(ranges != nullptr);
        if (ranges == nullptr) return;
        const auto make = [&] { return memory.create_range(test.budget(), page, 1); };
        for (unsigned i = 0; i < abi::mappings_per_memory_max; ++i) ranges[i] = MUST(make());
        // The one that would be mappings_per_memory_max + 1; ranges of ranges count, too.
        EXPECT_ERROR(make(), Error::limit);
        EXPECT_ERROR(ranges[0].create_range(test.budget(), 0, 1), Error::limit);
        ranges[7].close();
        const auto again = MUST(when_gone(make));
        EXPECT_ERROR(make(), Error::limit);
    }
    expect_returned(test, test.budget(), before, "after the most ranges");
}
