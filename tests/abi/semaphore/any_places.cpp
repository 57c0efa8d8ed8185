// SPDX-License-Identifier: MIT
// A thread's places in queues, which outlast its wait_any for the next one.

#include "runtime/clock.h"
#include "tests/abi/semaphore/words.h"
#include "tests/guest/ledger.h"
#include "tests/guest/threads.h"

#include <initializer_list>

namespace annulus::test::cases {
namespace {

constexpr uint64_t kernel_bit = semaphore_protocol::kernel_bit;

// Counting semaphores whose words lie beside each other.
struct Three {
    Semaphore semaphores[3];

    static Result<Three> create(const Context& test, const Word& word) {
        Three three;
        for (unsigned i = 0; i < 3; ++i) {
            three.semaphores[i] = TRY(word.semaphore(test, abi::semaphore_counting, i * 8));
        }
        return three;
    }

    // For any of these, in this order.
    system::WaitAnyAnswer wait(std::initializer_list<unsigned> order, uint64_t deadline) const {
        abi::WaitEntry entries[3] = {};
        size_t count = 0;
        for (const unsigned i : order) entries[count++] = {semaphores[i].value(), 0};
        return system::wait_any(entries, count, deadline);
    }
};

}  // namespace
}  // namespace annulus::test::cases

TEST(any_ended, "a thread that has ended leaves no trace of its wait_any") {
    EXPECT_OK(on_one_cpu([&] {
        const Word word = MUST(Word::create(test));
        const auto three = MUST(Three::create(test, word));
        Crew<2> crew;
        const auto wait = [&] { static_cast<void>(three.wait({0, 1, 2}, abi::deadline_never)); };
        const auto expect_words = [&](uint64_t value) {
            for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(word.at(i * 8).load(), value);
        };
        // Woken, and at its end; killed.
        EXPECT_OK(crew.add(wait, eager));
        expect_words(kernel_bit);
        EXPECT_OK(signal(three.semaphores[1]));
        expect_words(0);
        EXPECT_OK(crew.add(wait, eager));
        expect_words(kernel_bit);
        EXPECT_OK(crew[1].remove_kill(0));
        expect_words(0);
        EXPECT_OK(crew.join());
    }));
}

TEST(any_places,
     "a place that a wait_any left in a queue catches no unit, and goes with the next") {
    EXPECT_OK(on_one_cpu([&] {
        const Word word = MUST(Word::create(test));
        const auto three = MUST(Three::create(test, word));
        const auto soon = [] { return Deadline::after(microseconds(500)).at; };
        EXPECT_ERROR(three.wait({0, 1, 2}, soon()).status, Error::timed_out);
        for (unsigned i = 0; i < 3; ++i) {
            EXPECT_EQ(word.at(i * 8).load(), kernel_bit);
            EXPECT_OK(signal(three.semaphores[i]));
            EXPECT_EQ(word.at(i * 8).load(), 1);
            EXPECT_OK(wait_for(three.semaphores[i], Deadline::poll()));
            EXPECT_EQ(word.at(i * 8).load(), 0);
        }
        // Another list, and a shorter one: what is not in it is left alone.
        EXPECT_ERROR(three.wait({0, 1, 2}, soon()).status, Error::timed_out);
        EXPECT_ERROR(three.wait({2, 1}, soon()).status, Error::timed_out);
        EXPECT_EQ(word.at(0).load(), 0);
        EXPECT_EQ(word.at(8).load(), kernel_bit);
        EXPECT_EQ(word.at(16).load(), kernel_bit);
        // In sequence mode no place is kept.
        const auto sequence = MUST(word.semaphore(test, abi::semaphore_sequence, 24));
        const abi::WaitEntry entries[] = {{sequence.value(), 0}, {three.semaphores[1].value(), 0}};
        EXPECT_ERROR(system::wait_any(entries, 2, soon()).status, Error::timed_out);
        EXPECT_OK(signal(sequence));
        const auto answer = system::wait_any(entries, 2, abi::deadline_poll);
        EXPECT_OK(answer.status);
        EXPECT_EQ(answer.index, 0);
        EXPECT_EQ(answer.value, 1);
    }));
}

TEST(any_again, "a wait by the places of the last one is granted as any other") {
    EXPECT_OK(on_one_cpu([&] {
        const Word word = MUST(Word::create(test));
        const auto three = MUST(Three::create(test, word));
        system::WaitAnyAnswer answer = {};
        unsigned woken = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                // The same list again and again, in another order, and shorter.
                for (unsigned i = 0; i < 12; ++i, ++woken) {
                    answer = i < 6    ? three.wait({0, 1, 2}, abi::deadline_never)
                             : i < 10 ? three.wait({2, 1, 0}, abi::deadline_never)
                                      : three.wait({1}, abi::deadline_never);
                }
            },
            eager));
        const unsigned order[] = {1, 1, 0, 2, 1, 0, 0, 0, 2, 1, 1, 1};
        for (unsigned i = 0; i < 12; ++i) {
            EXPECT_OK(signal(three.semaphores[order[i]]));
            EXPECT_EQ(woken, i + 1);
            EXPECT_OK(answer.status);
            EXPECT_EQ(answer.index, i < 6 ? order[i] : i < 10 ? 2 - order[i] : 0);
        }
        EXPECT_OK(crew.join());
        for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(word.at(i * 8).load(), 0);
    }));
}

TEST(any_then_one, "a place that a wait_any left does not end a later wait for something else") {
    EXPECT_OK(on_one_cpu([&] {
        const auto left = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        const auto first = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        const auto then = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        const abi::WaitEntry entries[] = {{first.value(), 0}, {left.value(), 0}};
        unsigned step = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                if (system::wait_any(entries, 2, abi::deadline_never).status.ok()) ++step;
                // With a deadline: not by the short way, which has no record.
                if (wait_for(then, Deadline::after(seconds(20))).ok()) ++step;
            },
            eager));
        EXPECT_OK(signal(first));
        EXPECT_EQ(step, 1);
        EXPECT_OK(signal(left));
        EXPECT_EQ(step, 1);
        EXPECT_EQ(MUST(left.get_state()).value, 1);
        EXPECT_OK(signal(then));
        EXPECT_EQ(step, 2);
        EXPECT_OK(crew.join());
    }));
}

TEST(any_refused, "a place that a refused wait_any left does not end the next wait") {
    EXPECT_OK(on_one_cpu([&] {
        const auto left = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        const auto then = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        // The second entry is refused, after the first was found.
        const abi::WaitEntry entries[] = {{left.value(), 0}, {0, 0}};
        unsigned step = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                const auto soon = Deadline::after(microseconds(500)).at;
                if (system::wait_any(entries, 1, soon).status.code() == Error::timed_out) ++step;
                const auto refused = system::wait_any(entries, 2, abi::deadline_never).status;
                if (refused.code() == Error::bad_handle) ++step;
                // Twice: with a record, and by the short way.
                if (wait_for(then, Deadline::after(seconds(20))).ok()) ++step;
                if (wait_for(then).ok()) ++step;
            },
            eager));
        const uint64_t limit = now() + seconds(10).nanoseconds;
        while (step < 2 && now() < limit) sleep_for(milliseconds(1));
        EXPECT_EQ(step, 2);
        EXPECT_OK(signal(left));
        EXPECT_EQ(step, 2);
        EXPECT_EQ(MUST(left.get_state()).value, 1);
        EXPECT_OK(signal(then));
        EXPECT_EQ(step, 3);
        EXPECT_OK(signal(then));
        EXPECT_EQ(step, 4);
        EXPECT_OK(crew.join());
    }));
}

TEST(any_revoked, "a place that is left does not stand for a handle that is gone") {
    Semaphore gone = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    const auto other = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    const Semaphore twin(MUST(gone.get_duplicate(abi::all_rights, 0)).handle.release());
    const abi::WaitEntry entries[] = {{other.value(), 0}, {gone.value(), 0}};
    EXPECT_ERROR(system::wait_any(entries, 2, Deadline::after(microseconds(500)).at).status,
                 Error::timed_out);
    gone = Semaphore();
    const auto answer = system::wait_any(entries, 2, abi::deadline_poll);
    EXPECT_ERROR(answer.status, Error::bad_handle);
    EXPECT_EQ(answer.status.extra(), 1);
    EXPECT_OK(signal(twin));
    EXPECT_EQ(MUST(twin.get_state()).value, 1);
}

TEST(any_all_ways, "units are neither lost nor doubled when waits of all kinds follow each other") {
    constexpr unsigned semaphores = 6;
    constexpr unsigned waiters = 3;
    constexpr unsigned units = 15'000;
    Semaphore all[semaphores];
    for (Semaphore& semaphore : all) {
        semaphore = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    }
    std::atomic<uint64_t> taken = 0;
    std::atomic<bool> stop = false;
    Crew<waiters + 2> crew;
    for (unsigned i = 0; i < waiters; ++i) {
        EXPECT_OK(crew.add([&, i] {
            uint64_t random = i + 1;
            while (!stop.load()) {
                random = random * 6364136223846793005u + 1442695040888963407u;
                const auto count = static_cast<unsigned>(1 + (random >> 33) % 4);
                const auto first = static_cast<unsigned>((random >> 40) % semaphores);
                const uint64_t deadline =
                    (random >> 50) % 8 == 0 ? abi::deadline_poll
                                            : Deadline::after(microseconds((random >> 53) % 64)).at;
                abi::WaitEntry entries[4];
                for (unsigned k = 0; k < count; ++k) {
                    entries[k] = {all[(first + k) % semaphores].value(), 0};
                }
                // A list that is refused after some places were prepared.
                if ((random >> 56) % 8 == 0) entries[count - 1].semaphore = 0;
                const bool got = (random >> 60) % 4 == 0
                                     ? system::wait(entries[0].semaphore, deadline).ok()
                                     : system::wait_any(entries, count, deadline).status.ok();
                if (got) taken.fetch_add(1);
            }
        }));
    }
    const auto feed = [&] {
        for (unsigned i = 0; i < units; ++i) {
            static_cast<void>(signal(all[i % semaphores]));
        }
    };
    EXPECT_OK(crew.add(feed));
    EXPECT_OK(crew.add(feed));
    for (unsigned i = 0; i < 20'000 && taken.load() < 2 * units; ++i) sleep_for(milliseconds(1));
    stop.store(true);
    EXPECT_OK(crew.join());
    EXPECT_EQ(taken.load(), 2 * units);
    for (const Semaphore& semaphore : all) EXPECT_EQ(MUST(semaphore.get_state()).value, 0);
    report_count("any_all_ways", taken.load());
}
