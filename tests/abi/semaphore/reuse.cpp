// SPDX-License-Identifier: MIT
// Records of semaphores and channels are used again: nothing of an earlier life may show, whoever
// is in the middle of what, and the account comes out even.

#include "runtime/clock.h"
#include "tests/abi/semaphore/words.h"
#include "tests/guest/child.h"
#include "tests/guest/ledger.h"
#include "tests/guest/threads.h"

namespace annulus::test::cases {
namespace {

constexpr unsigned lives = 200;  // more than any CPU keeps records

Result<BudgetChannel> make_channel(BudgetReference budget, MemoryReference memory) {
    return budget.create_channel(memory, 0, abi::page_size, 1, 1);
}

// --- in a child that is killed somewhere in here

enum Place : unsigned { budget_handle, memory_handle, rounds_done, child_offset };

void make_and_close(Child::Word* words) {
    const BudgetReference budget(words[budget_handle].load());
    const MemoryReference memory(words[memory_handle].load());
    const uint64_t offset = words[child_offset].fetch_add(8);
    for (;;) {
        (void)budget.create_semaphore(abi::semaphore_counting, 1, MemoryReference(), 0).ok();
        (void)budget.create_semaphore(abi::semaphore_binary, 0, memory, offset).ok();
        (void)make_channel(budget, memory).ok();
        words[rounds_done].fetch_add(1);
    }
}

}  // namespace
}  // namespace annulus::test::cases

TEST(reused_handles, "the handles of a semaphore's earlier lives are refused in all later ones") {
    abi::Handle old[8] = {};
    for (unsigned life = 0; life < lives; ++life) {
        const auto semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 3));
        EXPECT_EQ(MUST(semaphore.get_state()).value, 3);
        for (const abi::Handle handle : old) {
            if (handle == abi::no_handle) continue;
            EXPECT_ERROR(system::signal(handle), Error::bad_handle);
            EXPECT_ERROR(system::wait(handle, 0, abi::deadline_poll).status, Error::bad_handle);
            EXPECT_ERROR(SemaphoreReference(handle).get_state(), Error::bad_handle);
        }
        EXPECT_EQ(MUST(semaphore.get_state()).value, 3);
        EXPECT_OK(signal(semaphore, life));
        old[life % std::size(old)] = semaphore.value();
    }
}

TEST(reused_modes, "a new semaphore has nothing of the mode and value of the one before") {
    for (unsigned life = 0; life < lives; ++life) {
        {
            const auto sequence = MUST(make_semaphore(test, abi::semaphore_sequence, life));
            EXPECT_OK(signal(sequence));
            EXPECT_EQ(MUST(wait_for(sequence, Deadline::poll(), life)), life + 1);
        }
        const auto binary = MUST(make_semaphore(test, abi::semaphore_binary, 0));
        EXPECT_ERROR(wait_for(binary, Deadline::poll()), Error::timed_out);
        EXPECT_OK(signal(binary, 5));
        EXPECT_EQ(MUST(binary.get_state()).value, 1);
        EXPECT_OK(wait_for(binary, Deadline::poll()));
    }
}

TEST(reused_places,
     "a new semaphore without memory does not tell where the one before it had its word") {
    const Word word = MUST(Word::create(test));
    for (unsigned life = 0; life < lives; ++life) {
        {
            const auto there = MUST(word.semaphore(test, abi::semaphore_counting, 8 * (life + 1)));
            EXPECT_EQ(MUST(there.get_state()).offset, 8 * (life + 1));
        }
        const auto inside = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        const auto state = MUST(inside.get_state());
        EXPECT_EQ(state.memory, 0);
        EXPECT_EQ(state.offset, 0);
    }
}

TEST(reused_channels, "a new channel has nothing of the end and the fault of the one before") {
    const auto memory = MUST(test.budget().create_memory(1, 0));
    for (unsigned life = 0; life < lives; ++life) {
        auto ends = MUST(make_channel(test.budget(), memory));
        const auto state = MUST(ends.first.get_state());
        EXPECT_EQ(state.closed, 0);
        EXPECT_EQ(state.faulted, 0);
        EXPECT_OK(system::signal(ends.second.value()));
        const auto heard = system::wait(ends.first.value(), 0, abi::deadline_poll);
        EXPECT_OK(heard.status);
        EXPECT_EQ(heard.value, 0);
        if (life % 2 == 0) EXPECT_OK(ends.first.shutdown_fault(life + 1));
        ends.second.close();
        const auto last = system::wait(ends.first.value(), 0, abi::deadline_poll);
        EXPECT_OK(last.status);
        EXPECT_EQ(last.value, abi::channel_ended);
    }
}

// Somebody who looked a semaphore up just before it was closed must not reach the next one in the
// same record, which is marked by its value. wait_any looks up all that it is given first, and
// comes to the last one long after: time enough to close it and make the next.
TEST(reused_under_look_ups, "what races the close of a semaphore hits no later one") {
    constexpr unsigned rounds = 6'000;
    const auto quiet = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    std::atomic<abi::Handle> published = abi::no_handle;
    std::atomic<bool> stop = false;
    std::atomic<uint64_t> hits = 0;
    Crew<3> crew;
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_OK(crew.add([&] {
            abi::WaitEntry entries[abi::wait_any_max] = {};
            for (abi::WaitEntry& entry : entries) entry.semaphore = quiet.value();
            while (!stop.load()) {
                for (unsigned k = 0; k < 16; ++k) {
                    entries[0].semaphore = published.load();
                    if (system::wait_any(entries, std::size(entries), abi::deadline_poll)
                            .status.ok()) {
                        hits.fetch_add(1);
                    }
                    if (system::signal(published.load()).ok()) hits.fetch_add(1);
                }
                // On few CPUs the others have to come to run, too.
                sleep_for(microseconds(20));
            }
        }));
    }
    uint64_t strays = 0;
    for (unsigned i = 0; i < rounds; ++i) {
        {
            const auto shared = MUST(make_semaphore(test, abi::semaphore_counting, 1));
            published = shared.value();
            if (i % 64 == 0) sleep_for(microseconds(30));
        }
        const auto own = MUST(make_semaphore(test, abi::semaphore_counting, 7));
        for (unsigned k = 0; k < 8; ++k) {
            if (MUST(own.get_state()).value != 7) ++strays;
        }
        published = abi::no_handle;
    }
    stop = true;
    EXPECT_OK(crew.join());
    EXPECT_EQ(strays, 0);
    report_count("reused_under_look_ups_hits", hits.load());
}

TEST(reused_after_kills, "programs killed while they make and close leave the account even") {
    const auto never = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    const auto before = settled_ledger(test.budget());
    uint64_t rounds = 0;
    for (unsigned trial = 0; trial < 12; ++trial) {
        const auto memory = MUST(test.budget().create_memory(1, 0));
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
        child.words()[budget_handle] = MUST(child.lend(test.budget()));
        child.words()[memory_handle] = MUST(child.lend(memory));
        for (unsigned i = 0; i < 3; ++i) EXPECT_OK(child.start(make_and_close));
        while (child.words()[rounds_done].load() < 30 * trial) {
            static_cast<void>(wait_for(never, Deadline::after(microseconds(100))));
        }
        EXPECT_OK(child.kill());
        rounds += child.words()[rounds_done].load();
    }
    report_count("reused_after_kills_rounds", rounds);
    expect_returned(test, test.budget(), before, "semaphores and channels of killed programs", 16);
}
