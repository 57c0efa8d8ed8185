// SPDX-License-Identifier: MIT
// Many members, many threads, kills and removals at any point: units in are events out.

#include "tests/abi/set/sets.h"
#include "tests/guest/child.h"
#include "tests/guest/ledger.h"
#include "tests/guest/threads.h"

#include <array>
#include <memory>

namespace annulus::test::cases {
namespace {

constexpr unsigned hammered = 8;

// Words of the child that is killed: its set, what it got, its members.
enum Place : unsigned { set_handle, got, signalled, members = 8 };

void take_for_ever(Child::Word* words) {
    const abi::Handle set = words[set_handle].load();
    for (;;) {
        if (next_event(set, abi::deadline_never).status.ok()) words[got].fetch_add(1);
    }
}

void signal_for_ever(Child::Word* words) {
    for (unsigned i = 0;; i = (i + 1) % hammered) {
        words[signalled].fetch_add(1);
        system::signal(words[members + i].load());
        if (i == 0) system::wait(words[set_handle].load() + 1, 0, 0);
    }
}

// Instructions for one signal and one wait, if the clock counts them.
uint64_t one_round(const Semaphore& member, const Set& set) {
    const uint64_t begin = now();
    for (unsigned i = 0; i < 200; ++i) {
        static_cast<void>(signal(member).ok());
        next_event(set);
    }
    return (now() - begin) / 200;
}

}  // namespace
}  // namespace annulus::test::cases

TEST(sizes, "sets of 10 to 10,000 members find each ready one, and nothing else") {
    for (const unsigned size : {10u, 100u, 1'000u, 10'000u}) {
        auto semaphores = std::make_unique<Semaphore[]>(size);
        const Set set = MUST(test.budget().create_set(size));
        for (unsigned i = 0; i < size; ++i) {
            semaphores[i] = MUST(make_semaphore(test));
            EXPECT_OK(set.create_member(semaphores[i], i, 0));
        }
        const uint64_t time = one_round(semaphores[size / 2], set);
        report_count(size == 10       ? "round_ns_10"
                     : size == 10'000 ? "round_ns_10000"
                                      : "round_ns",
                     time);
        unsigned found = 0;
        for (unsigned i = 3; i < size; i += 7) EXPECT_OK(signal(semaphores[i]));
        for (unsigned i = 3; i < size; i += 7) found += next_event(set).key == i ? 1 : 0;
        EXPECT_EQ(found, (size - 3 + 6) / 7);
        EXPECT_ERROR(next_event(set).status, Error::timed_out);
        EXPECT_EQ(MUST(set.get_state()).members, size);
        if (test.failed()) return;
    }
}

TEST(stress_units, "threads signal and wait at once: units in are events out") {
    constexpr unsigned rounds = 20'000;
    const Set set = MUST(test.budget().create_set(hammered));
    std::array<Semaphore, hammered> semaphores;
    for (unsigned i = 0; i < hammered; ++i) {
        semaphores[i] = MUST(make_semaphore(test));
        EXPECT_OK(set.create_member(semaphores[i], i, 0));
    }
    std::atomic<uint64_t> taken = 0;
    std::atomic<uint64_t> wrong = 0;
    constexpr uint64_t units = 2 * uint64_t{rounds};
    Crew<5> crew;
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_OK(crew.add([&, i] {
            while (taken.load() < units) {
                const auto event = next_event(set, now() + 200'000 * (i + 1));
                if (event.status.ok()) {
                    taken.fetch_add(1);
                } else if (event.status.code() != Error::timed_out) {
                    wrong.fetch_add(1);
                }
            }
        }));
    }
    for (unsigned i = 0; i < 2; ++i) {
        EXPECT_OK(crew.add([&, i] {
            for (unsigned k = 0; k < rounds;) {
                const unsigned many = 1 + (k % 5 == 0 ? 1 : 0);
                const unsigned now_many = k + many > rounds ? 1 : many;
                if (!signal(semaphores[(k * 3 + i) % hammered], now_many).ok()) wrong.fetch_add(1);
                k += now_many;
            }
        }));
    }
    EXPECT_OK(crew.join());
    EXPECT_EQ(taken.load(), units);
    EXPECT_EQ(wrong.load(), 0);
    EXPECT_ERROR(next_event(set).status, Error::timed_out);
}

TEST(stress_members, "members come and go while others signal and wait, and no unit is lost") {
    const auto before = settled_ledger(test.budget());
    {
        const Set set = MUST(test.budget().create_set(hammered));
        std::array<Semaphore, hammered> semaphores;
        for (auto& semaphore : semaphores) semaphore = MUST(make_semaphore(test));
        std::atomic<bool> stop = false;
        std::atomic<uint64_t> given = 0;
        std::atomic<uint64_t> taken = 0;
        std::atomic<uint64_t> wrong = 0;
        Crew<4> crew;
        for (unsigned i = 0; i < 2; ++i) {
            EXPECT_OK(crew.add([&] {
                while (!stop.load()) {
                    const auto event = next_event(set, now() + 300'000);
                    if (event.status.ok()) taken.fetch_add(1);
                    if (event.status.ok() && event.key >= hammered) wrong.fetch_add(1);
                }
            }));
        }
        EXPECT_OK(crew.add([&] {
            for (unsigned k = 0; !stop.load(); ++k) {
                given.fetch_add(1);
                if (!signal(semaphores[k % hammered]).ok()) wrong.fetch_add(1);
            }
        }));
        EXPECT_OK(crew.add([&] {
            for (unsigned k = 0; k < 600; ++k) {
                const unsigned which = k * 5 % hammered;
                const auto added = set.create_member(semaphores[which], which, 0);
                if (!added.ok() && added.error() != Error::busy) wrong.fetch_add(1);
                if (k % 3 == 0 && !set.remove_member(semaphores[which]).ok()) wrong.fetch_add(1);
            }
            stop = true;
        }));
        EXPECT_OK(crew.join());
        uint64_t left = 0;
        for (const auto& semaphore : semaphores) left += MUST(semaphore.get_state()).value;
        EXPECT_EQ(wrong.load(), 0);
        EXPECT_EQ(taken.load() + left, given.load());
        report_count("stress_members_events", taken.load());
    }
    expect_returned(test, test.budget(), before, "members that came and went", 16);
}

TEST(stress_kills, "processes killed in the middle of waits and signals leave a set in order") {
    const Semaphore never = MUST(make_semaphore(test));
    uint64_t events = 0;
    for (unsigned trial = 0; trial < 20; ++trial) {
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
        const Set set = MUST(test.budget().create_set(hammered));
        std::array<Semaphore, hammered> semaphores;
        for (unsigned i = 0; i < hammered; ++i) {
            semaphores[i] = MUST(make_semaphore(test));
            EXPECT_OK(set.create_member(semaphores[i], i, 0));
            child.words()[members + i] = MUST(child.lend(semaphores[i]));
        }
        child.words()[set_handle] = MUST(child.lend(set));
        for (unsigned i = 0; i < 2; ++i) EXPECT_OK(child.start(take_for_ever));
        EXPECT_OK(child.start(signal_for_ever));
        for (unsigned i = 0; i < trial; ++i) {
            EXPECT_OK(signal(semaphores[i % hammered]));
            static_cast<void>(wait_for(never, Deadline::after(microseconds(100 + 20 * trial))));
        }
        EXPECT_OK(child.kill());
        uint64_t left = 0;
        for (const auto& semaphore : semaphores) left += MUST(semaphore.get_state()).value;
        // Each of the three can have been killed between an operation and its note.
        const uint64_t in = child.words()[signalled].load() + trial;
        const uint64_t out = child.words()[got].load() + left;
        EXPECT(in <= out + 3 && out <= in);
        events += child.words()[got].load();
        while (next_event(set).status.ok()) {
        }
        EXPECT_OK(signal(semaphores[0]));
        EXPECT_EQ(next_event(set).key, 0);
        if (test.failed()) return;
    }
    report_count("killed_events", events);
}
