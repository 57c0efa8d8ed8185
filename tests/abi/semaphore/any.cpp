// SPDX-License-Identifier: MIT
// Waiting for one of several semaphores.

#include "runtime/clock.h"
#include "tests/abi/semaphore/words.h"
#include "tests/guest/ledger.h"
#include "tests/guest/threads.h"

#include <memory>

namespace annulus::test::cases {
namespace {

constexpr uint64_t kernel_bit = semaphore_protocol::kernel_bit;

// Semaphores and the list that names them all, in order.
struct Many {
    Semaphore semaphores[abi::wait_any_max];
    abi::WaitEntry entries[abi::wait_any_max + 1] = {};

    static Result<std::unique_ptr<Many>> create(const Context& test, unsigned count) {
        std::unique_ptr<Many> many(new Many);
        for (unsigned i = 0; i < count; ++i) {
            many->semaphores[i] = TRY(make_semaphore(test, abi::semaphore_counting, 0));
            many->entries[i] = {many->semaphores[i].value(), 0};
        }
        return many;
    }
};

}  // namespace
}  // namespace annulus::test::cases

TEST(any_sizes, "wait_any takes 1 to 128 entries; 129 are too_many, none is a wrong argument") {
    const auto many = MUST(Many::create(test, abi::wait_any_max));
    many->entries[abi::wait_any_max] = {many->semaphores[0].value(), 0};
    for (const unsigned count : {1u, 2u, 64u, abi::wait_any_max}) {
        EXPECT_OK(signal(many->semaphores[count - 1]));
        const auto answer = system::wait_any(many->entries, count, abi::deadline_never);
        EXPECT_OK(answer.status);
        EXPECT_EQ(answer.index, count - 1);
        EXPECT_ERROR(system::wait_any(many->entries, count, 0).status, Error::timed_out);
    }
    EXPECT_OK(signal(many->semaphores[0]));
    EXPECT_ERROR(system::wait_any(many->entries, abi::wait_any_max + 1, 0).status, Error::too_many);
    EXPECT_ERROR(system::wait_any(many->entries, ~size_t{0}, 0).status, Error::too_many);
    EXPECT_ERROR(system::wait_any(many->entries, 0, 0).status, Error::bad_argument);
    EXPECT_EQ(MUST(many->semaphores[0].get_state()).value, 1);
}

TEST(any_bad_entries, "an entry that is wrong is named, and nothing was taken") {
    const auto good = MUST(make_semaphore(test, abi::semaphore_counting, 1));
    const auto mute = MUST(good.get_duplicate(abi::right_signal, 0));
    const abi::WaitEntry lists[][2] = {
        {{good.value(), 0}, {abi::no_handle, 0}},
        {{good.value(), 0}, {test.budget().value(), 0}},
        {{good.value(), 0}, {mute.handle.value(), 0}},
    };
    const Error errors[] = {Error::bad_handle, Error::wrong_type, Error::no_right};
    for (unsigned i = 0; i < 3; ++i) {
        const auto answer = system::wait_any(lists[i], 2, abi::deadline_never);
        EXPECT_ERROR(answer.status, errors[i]);
        EXPECT_EQ(answer.status.extra(), 1);
    }
    // Safety: only the kernel looks at this address.
    const auto* nowhere = reinterpret_cast<const abi::WaitEntry*>(uint64_t{16});
    EXPECT_ERROR(system::wait_any(nowhere, 1, 0).status, Error::bad_address);
    EXPECT_EQ(MUST(good.get_state()).value, 1);
}

TEST(any_first_wins, "wait_any takes one unit, from the first entry that has one") {
    const auto many = MUST(Many::create(test, 4));
    EXPECT_OK(signal(many->semaphores[3], 2));
    EXPECT_OK(signal(many->semaphores[1]));
    for (const unsigned wanted : {1u, 3u, 3u}) {
        const auto answer = system::wait_any(many->entries, 4, abi::deadline_poll);
        EXPECT_OK(answer.status);
        EXPECT_EQ(answer.index, wanted);
    }
    EXPECT_ERROR(system::wait_any(many->entries, 4, abi::deadline_poll).status, Error::timed_out);
}

TEST(any_duplicates, "a semaphore that is named twice gives one unit, and wakes once") {
    EXPECT_OK(on_one_cpu([&] {
        const Word word = MUST(Word::create(test));
        const auto semaphore = MUST(word.semaphore(test, abi::semaphore_counting, 0));
        const abi::WaitEntry entries[] = {{semaphore.value(), 0}, {semaphore.value(), 0}};
        std::atomic<unsigned> woken = 0;
        Crew<2> crew;
        for (unsigned i = 0; i < 2; ++i) {
            EXPECT_OK(crew.add(
                [&] {
                    const auto answer = system::wait_any(entries, 2, abi::deadline_never);
                    woken.fetch_add(answer.status.ok() && answer.index == 0 ? 1 : 100);
                },
                eager));
        }
        EXPECT_OK(signal(semaphore));
        EXPECT_EQ(woken.load(), 1);
        EXPECT_EQ(word.at(0).load(), kernel_bit);
        EXPECT_OK(signal(semaphore));
        EXPECT_EQ(woken.load(), 2);
        EXPECT_EQ(word.at(0).load(), 0);
        EXPECT_OK(crew.join());
    }));
}

TEST(any_sequence, "wait_any over a sequence answers the new value and takes nothing") {
    EXPECT_OK(on_one_cpu([&] {
        const auto sequence = MUST(make_semaphore(test, abi::semaphore_sequence, 7));
        const auto bell = MUST(make_semaphore(test, abi::semaphore_binary, 0));
        const abi::WaitEntry entries[] = {{bell.value(), 0}, {sequence.value(), 7}};
        EXPECT_ERROR(system::wait_any(entries, 2, 0).status, Error::timed_out);
        const abi::WaitEntry behind[] = {{bell.value(), 0}, {sequence.value(), 6}};
        const auto at_once = system::wait_any(behind, 2, 0);
        EXPECT_OK(at_once.status);
        EXPECT_EQ(at_once.index, 1);
        EXPECT_EQ(at_once.value, 7);
        system::WaitAnyAnswer later = {};
        Crew<1> crew;
        EXPECT_OK(
            crew.add([&] { later = system::wait_any(entries, 2, abi::deadline_never); }, eager));
        EXPECT_OK(signal(sequence));
        EXPECT_OK(crew.join());
        EXPECT_OK(later.status);
        EXPECT_EQ(later.index, 1);
        EXPECT_EQ(later.value, 8);
    }));
}

TEST(any_mixed_queue, "single waiters and wait_any stand in one queue, in order") {
    EXPECT_OK(on_one_cpu([&] {
        const auto wanted = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        const auto other = MUST(make_semaphore(test, abi::semaphore_counting, 0));
        const abi::WaitEntry entries[] = {{other.value(), 0}, {wanted.value(), 0}};
        std::atomic<unsigned> next = 0;
        unsigned turn[6] = {};
        Crew<6> crew;
        for (unsigned i = 0; i < 6; ++i) {
            EXPECT_OK(crew.add(
                [&, i] {
                    const bool ok =
                        i % 2 == 0 ? wait_for(wanted).ok()
                                   : system::wait_any(entries, 2, abi::deadline_never).status.ok();
                    if (ok) turn[i] = ++next;
                },
                eager));
        }
        EXPECT_OK(signal(other));
        EXPECT_EQ(turn[1], 1);
        // One by one, for a time slice may end while several are ready.
        for (unsigned i = 0; i < 5; ++i) EXPECT_OK(signal(wanted));
        EXPECT_OK(crew.join());
        const unsigned in_order[] = {2, 1, 3, 4, 5, 6};
        for (unsigned i = 0; i < 6; ++i) EXPECT_EQ(turn[i], in_order[i]);
        EXPECT_EQ(MUST(wanted.get_state()).value, 0);
    }));
}

TEST(any_units, "units are neither lost nor doubled when many wait for many on all CPUs") {
    constexpr unsigned semaphores = 4;
    constexpr unsigned waiters = 4;
    constexpr unsigned units = 20'000;
    const auto many = MUST(Many::create(test, semaphores));
    const auto stop = MUST(make_semaphore(test, abi::semaphore_sequence, 0));
    std::atomic<uint64_t> taken = 0;
    Crew<waiters + 2> crew;
    for (unsigned i = 0; i < waiters; ++i) {
        EXPECT_OK(crew.add([&, i] {
            abi::WaitEntry entries[semaphores + 1];
            for (unsigned k = 0; k < semaphores; ++k) {
                entries[k] = many->entries[(k + i) % semaphores];
            }
            entries[semaphores] = {stop.value(), 0};
            for (;;) {
                const auto answer = system::wait_any(entries, semaphores + 1, abi::deadline_never);
                if (!answer.status.ok() || answer.index == semaphores) return;
                taken.fetch_add(1);
            }
        }));
    }
    const auto feed = [&] {
        for (unsigned i = 0; i < units; ++i) {
            static_cast<void>(signal(many->semaphores[i % semaphores]));
        }
    };
    EXPECT_OK(crew.add(feed));
    EXPECT_OK(crew.add(feed));
    const auto never = MUST(make_semaphore(test, abi::semaphore_counting, 0));
    while (taken.load() < 2 * units) {
        static_cast<void>(wait_for(never, Deadline::after(milliseconds(1))));
    }
    EXPECT_OK(signal(stop));
    EXPECT_OK(crew.join());
    EXPECT_EQ(taken.load(), 2 * units);
    for (unsigned i = 0; i < semaphores; ++i) {
        EXPECT_EQ(MUST(many->semaphores[i].get_state()).value, 0);
    }
    report_count("any_units", taken.load());
}

TEST(any_stale, "links of a thread that was served already do not hide who waits behind them") {
    EXPECT_OK(on_one_cpu([&] {
        for (const uint64_t mode : {abi::semaphore_counting, abi::semaphore_binary}) {
            const auto gate = MUST(make_semaphore(test, abi::semaphore_counting, 0));
            const auto wanted = MUST(make_semaphore(test, mode, 0));
            abi::WaitEntry entries[abi::wait_any_max] = {{gate.value(), 0}};
            for (unsigned i = 1; i < abi::wait_any_max; ++i) entries[i] = {wanted.value(), 0};
            for (const bool somebody : {true, false}) {
                std::atomic<unsigned> first = abi::wait_any_max;
                std::atomic<unsigned> behind = 0;
                Crew<2> crew;
                EXPECT_OK(crew.add(
                    [&] {
                        const auto any =
                            system::wait_any(entries, abi::wait_any_max, abi::deadline_never);
                        if (any.status.ok()) first = static_cast<unsigned>(any.index);
                    },
                    patient));
                sleep_for(milliseconds(2));
                if (somebody) {
                    EXPECT_OK(crew.add([&] { behind += wait_for(wanted).ok(); }, patient));
                    sleep_for(milliseconds(2));
                }
                // The first thread is served, and does not run yet: its 127 links are stale.
                EXPECT_OK(signal(gate));
                EXPECT_OK(signal(wanted));
                if (somebody) EXPECT_OK(crew.join(Deadline::after(seconds(5))));
                EXPECT_EQ(MUST(wanted.get_state()).value, somebody ? 0 : 1);
                EXPECT_OK(crew.join(Deadline::after(seconds(5))));
                EXPECT_EQ(first.load(), 0);
                EXPECT_EQ(behind.load(), somebody);
            }
        }
    }));
}
