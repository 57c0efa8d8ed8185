// SPDX-License-Identifier: MIT
// Physical memory runs out while the budget could still pay.

#include "abi/operations.h"
#include "tests/guest/ledger.h"

#include <array>

namespace annulus::test::cases {
namespace {

constexpr uint64_t piece = 4096;   // pages: 16 MiB
constexpr uint64_t large = 16384;  // in whose place no piece may be
constexpr unsigned pieces_max = 64;

}  // namespace
}  // namespace annulus::test::cases

TEST(no_run,
     "without a run of free pages contiguous memory is no_memory, and other memory goes on") {
    const auto before = settled_ledger(test.budget());
    {
        // Pieces as long as there are any, then every second one is given back.
        std::array<Memory, pieces_max> pieces;
        unsigned count = 0;
        Error error = Error::ok;
        while (count < pieces_max && error == Error::ok) {
            auto made = test.budget().create_memory(piece, abi::memory_contiguous);
            error = made.error();
            if (made.ok()) pieces[count++] = std::move(made).value();
        }
        EXPECT(error == Error::no_budget || error == Error::no_memory);
        for (unsigned i = 0; i < count; i += 2) pieces[i].close();
        const auto during = settled_ledger(test.budget());
        const auto pages = static_cast<unsigned>(abi::Resource::pages);
        EXPECT(during.limit[pages] - during.used[pages] - during.lent[pages] > large);
        EXPECT_ERROR(test.budget().create_memory(large, abi::memory_contiguous), Error::no_memory);
        expect_returned(test, test.budget(), during, "after no_memory");
        const auto memory = MUST(test.budget().create_memory(large / 2, 0));
        EXPECT_EQ(MUST(memory.get_size()).committed, large / 2);
        report_count("pieces", count);
    }
    expect_returned(test, test.budget(), before, "in the end");
}

TEST(last_page, "what a budget promises it can pay, to the last page of the machine") {
    const auto before = settled_ledger(test.budget());
    const auto machine = settled_machine(test.budget());
    {
        const auto pages = static_cast<unsigned>(abi::Resource::pages);
        std::array<Memory, 64> all;
        unsigned count = 0;
        for (uint64_t size = 8192; size > 0 && count < all.size();) {
            auto made = test.budget().create_memory(size, 0);
            if (made.ok()) {
                all[count++] = std::move(made).value();
                continue;
            }
            EXPECT(made.status() ==
                   Status(Error::no_budget, static_cast<uint16_t>(abi::Resource::pages)));
            size /= 2;
        }
        const auto full = MUST(test.budget().get_ledger());
        EXPECT(full.limit[pages] - full.used[pages] - full.lent[pages] <= 2);
        // Objects still have theirs.
        EXPECT_OK(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
        const auto now = MUST(test.budget().get_machine());
        report_count("pages free in the end", now.free);
        report_count("pages free before", machine.free);
    }
    expect_returned(test, test.budget(), before, "in the end");
    EXPECT_OK(test.budget().create_memory(8192, 0));
}
