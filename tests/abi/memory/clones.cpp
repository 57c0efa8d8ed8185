// SPDX-License-Identifier: MIT
// Copy-on-write clones: what one side writes, the other never sees.

#include "tests/abi/memory/pages.h"

#include "runtime/thread.h"

#include <atomic>
#include <bit>

namespace annulus::test::cases {

namespace {

constexpr uint64_t count = 80;  // more than one chunk

// Fills page i with value + i.
Result<void> fill(MemoryReference memory, uint64_t value) {
    for (uint64_t i = 0; i < count; ++i) TRY(set_word(memory, i * page, value + i));
    return {};
}

// How many of the pages do not hold value + i.
uint64_t differing(MemoryReference memory, uint64_t value) {
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < count; ++i) {
        wrong += word_of(memory, i * page).value_or(~uint64_t{0}) != value + i;
    }
    return wrong;
}

}  // namespace

}  // namespace annulus::test::cases

TEST(clone_handles, "a clone has the content of its beginning; writes through handles stay apart") {
    const auto before = settled_ledger(test.budget());
    for (const uint64_t flags : {uint64_t{0}, abi::memory_on_demand}) {
        const auto source = MUST(test.budget().create_memory(count, flags));
        EXPECT_OK(fill(source, 100));
        const auto clone = MUST(source.create_clone(test.budget(), 0, count));
        EXPECT_EQ(differing(clone, 100), 0u);
        EXPECT_OK(fill(source, 200));
        EXPECT_EQ(differing(clone, 100), 0u);
        EXPECT_OK(fill(clone, 300));
        EXPECT_EQ(differing(source, 200), 0u);
        EXPECT_EQ(differing(clone, 300), 0u);
    }
    expect_returned(test, test.budget(), before, "after the clones");
}

TEST(clone_mapped, "mappings of source and clone stay apart, those made before the clone, too") {
    const auto before = settled_ledger(test.budget());
    {
        const auto source = MUST(test.budget().create_memory(count, abi::memory_on_demand));
        EXPECT_OK(fill(source, 100));
        const uint64_t old = MUST(test.process().map(source, 0, count * page, 0, read_write));
        for (uint64_t i = 0; i < count; ++i) word_at(old + i * page) = 100 + i;
        const auto clone = MUST(source.create_clone(test.budget(), 0, count));
        const uint64_t fresh = MUST(test.process().map(clone, 0, count * page, 0, read_write));
        for (uint64_t i = 0; i < count; ++i) {
            if (i % 2 == 0) {
                word_at(old + i * page) = 1;
            } else {
                word_at(fresh + i * page) = 2;
            }
        }
        for (uint64_t i = 0; i < count; ++i) {
            EXPECT_EQ(word_at(old + i * page) + 0, i % 2 == 0 ? 1 : 100 + i);
            EXPECT_EQ(word_at(fresh + i * page) + 0, i % 2 == 0 ? 100 + i : 2);
        }
        EXPECT_OK(test.process().map_unmap(old, count * page));
        EXPECT_OK(test.process().map_unmap(fresh, count * page));
    }
    expect_returned(test, test.budget(), before, "after the mappings", 8);
}

TEST(clone_tree, "clones of clones and of parts hold, whoever of them goes first") {
    const auto before = settled_ledger(test.budget());
    {
        auto source = MUST(test.budget().create_memory(count, abi::memory_on_demand));
        EXPECT_OK(fill(source, 100));
        auto first = MUST(source.create_clone(test.budget(), 0, count));
        auto second = MUST(first.create_clone(test.budget(), 0, count));
        const auto part = MUST(second.create_range(test.budget(), 10 * page, 20));
        const auto third = MUST(part.create_clone(test.budget(), 5 * page, 10));
        source.close();
        EXPECT_OK(fill(first, 500));
        EXPECT_EQ(differing(second, 100), 0u);
        first.close();
        second.close();
        for (uint64_t i = 0; i < 10; ++i) {
            EXPECT_EQ(MUST(word_of(third, i * page)), 100 + 15 + i);
        }
    }
    expect_returned(test, test.budget(), before, "after the tree");
}

TEST(clone_holes, "pages that the source does not have are zero in both, and stay apart") {
    const auto source = MUST(test.budget().create_memory(count, abi::memory_on_demand));
    EXPECT_OK(set_word(source, 3 * page, 3));
    const auto clone = MUST(source.create_clone(test.budget(), 0, count));
    EXPECT_OK(set_word(source, 4 * page, 4));
    EXPECT_OK(set_word(clone, 5 * page, 5));
    EXPECT_EQ(MUST(word_of(clone, 3 * page)), 3u);
    EXPECT_EQ(MUST(word_of(clone, 4 * page)), 0u);
    EXPECT_EQ(MUST(word_of(source, 5 * page)), 0u);
}

TEST(clone_pinned,
     "a page that a semaphore lies in is copied at once, and the semaphore works on") {
    const auto source = MUST(test.budget().create_memory(2, 0));
    EXPECT_OK(set_word(source, 0, 0));
    const auto semaphore =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, source, 0));
    EXPECT_OK(Status(system::signal(semaphore.value())));
    const auto clone = MUST(source.create_clone(test.budget(), 0, 2));
    EXPECT_OK(Status(system::signal(semaphore.value())));
    EXPECT_EQ(MUST(semaphore.get_state()).value, 2u);
    EXPECT_EQ(MUST(word_of(clone, 0)), 1u);
    EXPECT_OK(set_word(clone, 0, 70));
    EXPECT_EQ(MUST(semaphore.get_state()).value, 2u);
}

TEST(clone_needs_read, "whoever may not read the memory cannot clone it") {
    const auto source = MUST(test.budget().create_memory(1, 0));
    const auto blind =
        MUST(source.get_duplicate(abi::all_rights & ~abi::right_of(abi::Verb::read), 0));
    EXPECT_ERROR(MemoryReference(blind.handle.value()).create_clone(test.budget(), 0, 1),
                 Error::no_right);
}

TEST(clone_kinds, "contiguous memory and device registers cannot be cloned, or are copied") {
    const auto run = MUST(test.budget().create_memory(4, abi::memory_contiguous));
    EXPECT_OK(set_word(run, page, 8));
    const auto clone = run.create_clone(test.budget(), 0, 4);
    if (clone.ok()) {
        EXPECT_OK(set_word(run, page, 9));
        EXPECT_EQ(MUST(word_of(*clone, page)), 8u);
    } else {
        EXPECT_EQ(clone.error(), Error::wrong_state);
    }
}

TEST(clone_paid, "a clone costs pages as it is written, paid by its own budget") {
    auto limits = usual_limits();
    amount(limits, abi::Resource::pages) = 20;
    const auto source = MUST(test.budget().create_memory(count, 0));
    EXPECT_OK(fill(source, 1));
    const auto budget = MUST(test.budget().create_budget(limits));
    const auto before = settled_ledger(budget);
    {
        const auto clone = source.create_clone(budget, 0, count);
        if (clone.ok()) {
            Status status;
            uint64_t written = 0;
            for (; written < count && status.ok(); ++written) {
                status = set_word(*clone, written * page, 2).status();
            }
            EXPECT_EQ(status.code(), Error::no_budget);
            EXPECT(written <= 21);
            EXPECT_EQ(differing(source, 1), 0u);
        } else {
            EXPECT_EQ(clone.error(), Error::no_budget);  // paid in advance
        }
    }
    expect_returned(test, budget, before, "the clone's payer");
    EXPECT_EQ(differing(source, 1), 0u);
}

TEST(clone_while_written, "a clone taken while threads write is one moment of each page") {
    const auto source = MUST(test.budget().create_memory(count, abi::memory_on_demand));
    const uint64_t shown = MUST(test.process().map(source, 0, count * page, 0, read_write));
    std::atomic<bool> stop = false;
    std::atomic<uint64_t> torn = 0;
    {
        // Each page's first and last word rise together, first before last.
        const auto writer = [&](uint64_t begin) {
            for (uint64_t value = 1; !stop.load(); ++value) {
                for (uint64_t i = begin; i < count; i += 2) {
                    word_at(shown + i * page) = value;
                    word_at(shown + i * page + page - 8) = value;
                }
            }
        };
        auto even = MUST(start_thread([&] { writer(0); }, {.priority = 20}));
        auto odd = MUST(start_thread([&] { writer(1); }, {.priority = 20}));
        for (unsigned round = 0; round < 30; ++round) {
            const auto clone = source.create_clone(test.budget(), 0, count);
            if (!clone.ok()) {
                test.fail("a clone answered {}", abi::name_of(clone.error()));
                break;
            }
            uint64_t first[count];
            for (uint64_t i = 0; i < count; ++i) {
                first[i] = word_of(*clone, i * page).value_or(0);
                const uint64_t last = word_of(*clone, i * page + page - 8).value_or(0);
                torn += first[i] - last > 1;
            }
            sleep_for(milliseconds(1));
            for (uint64_t i = 0; i < count; ++i) {
                torn += word_of(*clone, i * page).value_or(0) != first[i];
            }
        }
        stop = true;
    }
    EXPECT_EQ(torn.load(), 0u);
    EXPECT_OK(test.process().map_unmap(shown, count * page));
}
