// SPDX-License-Identifier: MIT
// Semaphores: modes, values, limits and words in memory.

#include "tests/abi/semaphore/words.h"
#include "tests/guest/harness.h"

const char* const annulus::test::suite = "semaphore";

namespace annulus::test::cases {
namespace {

constexpr uint64_t modes[] = {abi::semaphore_counting, abi::semaphore_binary,
                              abi::semaphore_sequence};

Error poll(SemaphoreReference semaphore, uint64_t seen = 0) {
    return system::wait(semaphore.value(), seen, abi::deadline_poll).status.code();
}

}  // namespace
}  // namespace annulus::test::cases

TEST(counting, "a counting semaphore gives back exactly the units it got") {
    const auto semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 3));
    EXPECT_OK(signal(semaphore, 2));
    EXPECT_EQ(MUST(semaphore.get_state()).value, 5);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(poll(semaphore), Error::ok);
    EXPECT_EQ(poll(semaphore), Error::timed_out);
    EXPECT_OK(signal(semaphore, 0));
    EXPECT_EQ(poll(semaphore), Error::timed_out);
}

TEST(binary, "signals of a binary semaphore before a wait are one") {
    const auto semaphore = MUST(make_semaphore(test, abi::semaphore_binary, 0));
    EXPECT_OK(signal(semaphore));
    EXPECT_OK(signal(semaphore, 7));
    EXPECT_EQ(MUST(semaphore.get_state()).value, 1);
    EXPECT_EQ(poll(semaphore), Error::ok);
    EXPECT_EQ(poll(semaphore), Error::timed_out);
}

TEST(sequence,
     "a sequence answers its value when it differs from the seen one, and takes nothing") {
    const auto semaphore = MUST(make_semaphore(test, abi::semaphore_sequence, 10));
    EXPECT_EQ(poll(semaphore, 10), Error::timed_out);
    for (int i = 0; i < 2; ++i) {
        const auto answer = system::wait(semaphore.value(), 9, abi::deadline_poll);
        EXPECT_OK(answer.status);
        EXPECT_EQ(answer.value, 10);
    }
    EXPECT_OK(signal(semaphore, 5));
    EXPECT_EQ(MUST(wait_for(semaphore, Deadline::poll(), 10)), 11);
}

TEST(initial_values, "initial values go up to 2^62, and to 1 for a binary semaphore") {
    for (const uint64_t mode : modes) {
        EXPECT_OK(make_semaphore(test, mode, 1));
        EXPECT_ERROR(make_semaphore(test, mode, abi::semaphore_max + 1), Error::bad_argument);
        EXPECT_ERROR(make_semaphore(test, mode, ~uint64_t{0}), Error::bad_argument);
    }
    EXPECT_OK(make_semaphore(test, abi::semaphore_counting, abi::semaphore_max));
    EXPECT_OK(make_semaphore(test, abi::semaphore_sequence, abi::semaphore_max));
    EXPECT_ERROR(make_semaphore(test, abi::semaphore_binary, 2), Error::bad_argument);
    EXPECT_ERROR(make_semaphore(test, 3, 0), Error::bad_argument);
}

TEST(upper_limit, "a count stays at 2^62 at most: beyond is limit, and changes nothing") {
    const auto full = MUST(make_semaphore(test, abi::semaphore_counting, abi::semaphore_max));
    EXPECT_ERROR(signal(full), Error::limit);
    EXPECT_EQ(MUST(full.get_state()).value, abi::semaphore_max);
    EXPECT_EQ(poll(full), Error::ok);
    EXPECT_OK(signal(full));
    EXPECT_ERROR(signal(full), Error::limit);

    const auto empty = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    EXPECT_ERROR(signal(empty, abi::semaphore_max + 1), Error::limit);
    EXPECT_ERROR(signal(empty, ~uint64_t{0}), Error::limit);
    EXPECT_EQ(MUST(empty.get_state()).value, 0);
    EXPECT_OK(signal(empty, abi::semaphore_max));
    EXPECT_EQ(MUST(empty.get_state()).value, abi::semaphore_max);

    const auto last = MUST(make_semaphore(test, abi::semaphore_sequence, abi::semaphore_max));
    EXPECT_ERROR(signal(last), Error::limit);
}

TEST(word_in_memory, "the word in memory is the value, and bit 63 is clear while nobody waits") {
    const Word word = MUST(Word::create(test));
    word.at(8) = 4;
    const auto semaphore = MUST(word.semaphore(test, abi::semaphore_counting, 8));
    const auto state = MUST(semaphore.get_state());
    EXPECT_EQ(state.value, 4);
    EXPECT_EQ(state.offset, 8);
    EXPECT_EQ(state.memory, MUST(word.memory().get_size()).id);
    EXPECT_EQ(poll(semaphore), Error::ok);
    EXPECT_EQ(word.at(8).load(), 3);
    word.at(8) = 0;
    EXPECT_EQ(poll(semaphore), Error::timed_out);
    EXPECT_EQ(word.at(8).load(), 0);
    EXPECT_OK(signal(semaphore, 2));
    EXPECT_EQ(word.at(8).load(), 2);
}

TEST(word_places, "a word lies at a multiple of 8 inside its memory") {
    const Word word = MUST(Word::create(test, 2));
    EXPECT_OK(word.semaphore(test, abi::semaphore_counting, 0));
    EXPECT_OK(word.semaphore(test, abi::semaphore_counting, 2 * abi::page_size - 8));
    for (const uint64_t offset : {1, 4, 7}) {
        EXPECT_ERROR(word.semaphore(test, abi::semaphore_counting, offset), Error::bad_argument);
    }
    EXPECT_ERROR(word.semaphore(test, abi::semaphore_counting, 2 * abi::page_size),
                 Error::out_of_range);
    EXPECT_ERROR(word.semaphore(test, abi::semaphore_counting, ~uint64_t{7}), Error::out_of_range);
}

TEST(word_once, "a word has one semaphore at a time: a second one is busy") {
    const Word word = MUST(Word::create(test));
    {
        const auto first = MUST(word.semaphore(test, abi::semaphore_counting, 16));
        EXPECT_ERROR(word.semaphore(test, abi::semaphore_binary, 16), Error::busy);
        EXPECT_OK(word.semaphore(test, abi::semaphore_binary, 24));
    }
    EXPECT_OK(word.semaphore(test, abi::semaphore_binary, 16));
}

TEST(word_rights, "a word needs memory that may be mapped and written, and cannot vanish") {
    const Word word = MUST(Word::create(test));
    const auto read_only =
        MUST(word.memory().get_duplicate(right_of(abi::Verb::read) | right_of(abi::Verb::map), 0));
    EXPECT_ERROR(test.budget().create_semaphore(abi::semaphore_counting, 0,
                                                MemoryReference(read_only.handle.value()), 0),
                 Error::no_right);
    const auto revocable = MUST(test.budget().create_memory(1, abi::memory_revocable));
    EXPECT_ERROR(test.budget().create_semaphore(abi::semaphore_counting, 0, revocable, 0),
                 Error::may_fault);
}

TEST(word_pinned, "a semaphore pins its word's page and gives the pin back") {
    const Word word = MUST(Word::create(test));
    const auto before = MUST(test.budget().get_ledger());
    constexpr auto pins = static_cast<unsigned>(abi::Resource::pins);
    {
        const auto semaphore = MUST(word.semaphore(test, abi::semaphore_counting, 0));
        EXPECT_EQ(MUST(test.budget().get_ledger()).used[pins], before.used[pins] + 1);
    }
    EXPECT_EQ(MUST(test.budget().get_ledger()).used[pins], before.used[pins]);
}

TEST(word_memory_returned,
     "memory that a semaphore's word lay in goes with its last handle, at once") {
    const auto before = MUST(test.budget().get_ledger());
    {
        const auto memory = MUST(test.budget().create_memory(8, 0));
        const auto semaphore = MUST(test.budget().create_semaphore(0, 0, memory, 64));
        EXPECT_OK(signal(semaphore));
    }
    const auto after = MUST(test.budget().get_ledger());
    for (unsigned i = 0; i < abi::resource_count; ++i) EXPECT_EQ(after.used[i], before.used[i]);
    EXPECT_EQ(after.objects, before.objects);
}

TEST(rights, "wait and signal need their own rights, and state needs get") {
    const auto semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 1));
    const auto waits = MUST(semaphore.get_duplicate(abi::right_wait, 0));
    const auto signals = MUST(semaphore.get_duplicate(abi::right_signal, 0));
    const abi::Handle wait_only = waits.handle.value();
    const abi::Handle signal_only = signals.handle.value();
    EXPECT_ERROR(system::wait(signal_only, 0, 0).status, Error::no_right);
    EXPECT_ERROR(system::signal(wait_only), Error::no_right);
    EXPECT_ERROR(SemaphoreReference(wait_only).get_state(), Error::no_right);
    EXPECT_OK(system::signal(signal_only));
    EXPECT_OK(system::wait(wait_only, 0, 0).status);
    EXPECT_ERROR(system::signal_and_wait(wait_only, signal_only, 0, 0).status, Error::no_right);
    EXPECT_EQ(MUST(semaphore.get_state()).value, 1);
}

TEST(wrong_handles, "system calls on semaphores refuse other objects and dead handles") {
    const abi::Handle budget = test.budget().value();
    EXPECT_ERROR(system::wait(budget, 0, 0).status, Error::wrong_type);
    EXPECT_ERROR(system::signal(budget), Error::wrong_type);
    abi::Handle closed;
    {
        const auto semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 1));
        closed = semaphore.value();
    }
    for (const abi::Handle handle : {closed, abi::no_handle, ~uint64_t{0}}) {
        EXPECT_ERROR(system::wait(handle, 0, 0).status, Error::bad_handle);
        EXPECT_ERROR(system::signal(handle), Error::bad_handle);
    }
}
