// SPDX-License-Identifier: MIT
// The end of semaphores, and peers that write to the word what they like.

#include "runtime/clock.h"
#include "tests/abi/semaphore/words.h"
#include "tests/guest/child.h"
#include "tests/guest/threads.h"

namespace annulus::test::cases {
namespace {

constexpr uint64_t kernel_bit = semaphore_protocol::kernel_bit;

// A child budget that can pay for a few semaphores and a small process.
Result<Budget> small_budget(const Context& test) {
    abi::BudgetLimits limits = {};
    for (uint64_t& amount : limits.amount) amount = 512;
    limits.amount[static_cast<unsigned>(abi::Resource::kernel_bytes)] = 1 << 20;
    limits.cpu_weight = 100;
    limits.priority_ceiling = 40;
    return test.budget().create_budget(limits);
}

// The hostile peer: scribbles over words()[1] until words()[0] is set.
void scribble(Child::Word* words) {
    const uint64_t values[] = {0,
                               1,
                               kernel_bit,
                               kernel_bit | 1,
                               abi::semaphore_max,
                               abi::semaphore_max + 1,
                               kernel_bit - 1,
                               ~uint64_t{0}};
    for (uint64_t i = 0; words[0].load() == 0; ++i) {
        words[1].store(values[i % 8]);
        words[2].store(i);
    }
}

}  // namespace
}  // namespace annulus::test::cases

TEST(closed_under_waiters, "closing the last handle wakes every waiter with closed") {
    EXPECT_OK(on_one_cpu([&] {
        constexpr unsigned waiters = 100;
        auto semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        const auto other = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        const abi::Handle handle = semaphore.value();
        const abi::WaitEntry entries[] = {{other.value(), 0}, {handle, 0}};
        std::atomic<unsigned> closed = 0;
        std::atomic<unsigned> closed_any = 0;
        Crew<waiters> crew;
        for (unsigned i = 0; i < waiters; ++i) {
            EXPECT_OK(crew.add(
                [&, i] {
                    if (i % 2 == 0) {
                        const auto answer = system::wait(handle, 0, abi::deadline_never);
                        if (answer.status.code() == Error::closed) closed.fetch_add(1);
                        return;
                    }
                    const auto answer = system::wait_any(entries, 2, abi::deadline_never);
                    if (answer.status.code() == Error::closed && answer.index == 1) {
                        closed_any.fetch_add(1);
                    }
                },
                eager));
        }
        semaphore.close();
        EXPECT_OK(crew.join());
        EXPECT_EQ(closed.load(), waiters / 2);
        EXPECT_EQ(closed_any.load(), waiters / 2);
        EXPECT_ERROR(system::signal(handle), Error::bad_handle);
        EXPECT_EQ(MUST(other.get_state()).value, 0);
    }));
}

TEST(destroyed_under_waiters,
     "destroying the budget of a semaphore wakes its waiters with closed") {
    EXPECT_OK(on_one_cpu([&] {
        const auto budget = MUST(small_budget(test));
        const auto done = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        const auto doomed =
            MUST(budget.create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
        std::atomic<unsigned> closed = 0;
        Crew<3> crew;
        for (unsigned i = 0; i < 3; ++i) {
            EXPECT_OK(crew.add(
                [&] {
                    if (wait_for(doomed).error() == Error::closed) closed.fetch_add(1);
                },
                eager));
        }
        EXPECT_OK(budget.remove_destroy(done));
        EXPECT_OK(wait_for(done));
        EXPECT_OK(crew.join());
        EXPECT_EQ(closed.load(), 3);
        EXPECT(!wait_for(doomed, Deadline::poll()).ok());
    }));
}

TEST(word_after_close, "after the last close the kernel does not touch the word again") {
    const Word word = MUST(Word::create(test));
    {
        const auto semaphore = MUST(word.semaphore(test, abi::semaphore_counting, 0));
        EXPECT_OK(signal(semaphore));
    }
    word.at(0) = 0x5555;
    EXPECT_ERROR(test.budget().create_semaphore(abi::semaphore_counting, 0, word.memory(), 4),
                 Error::bad_argument);
    EXPECT_EQ(word.at(0).load(), 0x5555);
}

TEST(forged_values, "whatever is written to a word, the kernel keeps its rules for it") {
    const Word word = MUST(Word::create(test));
    const auto semaphore = MUST(word.semaphore(test, abi::semaphore_counting, 0));
    // K set without a waiter: a hint that was wrong, dropped at the next visit.
    word.at(0) = kernel_bit | 5;
    EXPECT_OK(signal(semaphore));
    EXPECT_EQ(word.at(0).load(), 6);
    // A count beyond the limit is no reason to count on.
    word.at(0) = abi::semaphore_max + 1;
    EXPECT_ERROR(signal(semaphore), Error::limit);
    EXPECT_OK(wait_for(semaphore, Deadline::poll()));
    EXPECT_EQ(word.at(0).load(), abi::semaphore_max);
    word.at(0) = ~uint64_t{0};
    EXPECT_ERROR(signal(semaphore), Error::limit);
    EXPECT_OK(wait_for(semaphore, Deadline::poll()));
}

TEST(forged_hint, "clearing bit 63 loses no waiter: the next signal through the kernel wakes it") {
    EXPECT_OK(on_one_cpu([&] {
        const Word word = MUST(Word::create(test));
        const auto semaphore = MUST(word.semaphore(test, abi::semaphore_counting, 0));
        std::atomic<unsigned> woken = 0;
        Crew<2> crew;
        for (unsigned i = 0; i < 2; ++i) {
            EXPECT_OK(
                crew.add([&] { woken.fetch_add(wait_for(semaphore).ok() ? 1 : 100); }, eager));
        }
        word.at(0) = 0;
        EXPECT_OK(signal(semaphore));
        EXPECT_EQ(woken.load(), 1);
        EXPECT_EQ(word.at(0).load(), kernel_bit);
        word.at(0) = 9;
        EXPECT_OK(signal(semaphore));
        EXPECT_EQ(woken.load(), 2);
        EXPECT_EQ(word.at(0).load(), 9);
        EXPECT_OK(crew.join());
    }));
}

TEST(hostile_writer, "a peer that scribbles over a word hurts no other semaphore") {
    const auto budget = MUST(small_budget(test));
    auto child = MUST(Child::create(test.budget(), test.process(), budget));
    EXPECT_OK(child.start(scribble));
    // Its word cannot be used here without its memory; a word of the parent's lies beside ours.
    const Word word = MUST(Word::create(test));
    const auto good = MUST(word.semaphore(test, abi::semaphore_counting, 0));
    const auto bad = MUST(word.semaphore(test, abi::semaphore_counting, 8));
    std::atomic<bool> stop = false;
    std::atomic<uint64_t> stormed = 0;
    Crew<2> crew;
    EXPECT_OK(crew.add([&] {
        const uint64_t values[] = {0,
                                   1,
                                   kernel_bit,
                                   kernel_bit | 1,
                                   abi::semaphore_max,
                                   abi::semaphore_max + 1,
                                   kernel_bit - 1,
                                   ~uint64_t{0}};
        for (uint64_t i = 0; !stop.load(); ++i) word.at(8).store(values[i % 8]);
    }));
    EXPECT_OK(crew.add([&] {
        while (!stop.load()) {
            static_cast<void>(signal(bad));
            static_cast<void>(wait_for(bad, Deadline{now() + 20'000}));
            stormed.fetch_add(1);
        }
    }));
    for (unsigned i = 0; i < 2000; ++i) {
        EXPECT_OK(signal(good));
        EXPECT_OK(wait_for(good));
    }
    EXPECT_EQ(word.at(0).load(), 0);
    const auto never = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    // The child may get its first turn late.
    while (stormed.load() < 200 || child.words()[2].load() == 0) {
        static_cast<void>(wait_for(never, Deadline::after(milliseconds(1))));
    }
    stop = true;
    // The storm's last wait may sleep on a word that says nothing: its deadline ends it.
    EXPECT_OK(crew.join());
    EXPECT(child.words()[2].load() != 0);
    EXPECT_OK(child.kill());
    report_count("hostile_rounds", stormed.load());
}
