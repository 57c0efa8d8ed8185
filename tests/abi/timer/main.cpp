// SPDX-License-Identifier: MIT
// Timers: once, periodically, late, never, and many of them.

#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/semaphore.h"
#include "tests/guest/harness.h"

const char* const annulus::test::suite = "timer";

namespace annulus::test::cases {
namespace {

// A timer and the semaphore that it signals.
struct Armed {
    Semaphore semaphore;
    Timer timer;

    static Result<Armed> create(const Context& test) {
        Armed armed;
        armed.semaphore =
            TRY(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
        armed.timer = TRY(test.budget().create_timer(armed.semaphore));
        return armed;
    }
    uint64_t units() const {
        const auto state = semaphore.get_state();
        return state.ok() ? state->value : ~uint64_t{0};
    }
};

void sleep(const Context& test, Duration span) {
    const auto never =
        test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0);
    if (never.ok()) static_cast<void>(wait_for(*never, Deadline::after(span)));
}

}  // namespace
}  // namespace annulus::test::cases

TEST(once, "a timer signals one unit at its deadline, not before, and once") {
    const auto one = MUST(Armed::create(test));
    for (const uint64_t span : {uint64_t{1}, uint64_t{50'000}, uint64_t{3'000'000}}) {
        const uint64_t deadline = now() + span;
        EXPECT_OK(one.timer.set_arm(deadline, 0));
        EXPECT_OK(wait_for(one.semaphore));
        EXPECT(now() >= deadline);
        sleep(test, milliseconds(1));
        EXPECT_EQ(one.units(), 0);
        EXPECT_EQ(MUST(one.timer.set_cancel()), 0);
    }
}

TEST(past, "a deadline that has passed fires at once, also 0") {
    const auto one = MUST(Armed::create(test));
    for (const uint64_t deadline : {uint64_t{0}, uint64_t{1}, now()}) {
        EXPECT_OK(one.timer.set_arm(deadline, 0));
        EXPECT_OK(wait_for(one.semaphore, Deadline::after(seconds(10))));
        EXPECT_EQ(one.units(), 0);
    }
}

TEST(never, "a timer armed for never does not fire and is not armed") {
    const auto one = MUST(Armed::create(test));
    EXPECT_OK(one.timer.set_arm(abi::deadline_never, 0));
    sleep(test, milliseconds(2));
    EXPECT_EQ(one.units(), 0);
    EXPECT_EQ(MUST(one.timer.set_cancel()), 0);
    EXPECT_OK(one.timer.set_arm(abi::deadline_never - 1, 0));
    EXPECT_EQ(MUST(one.timer.set_cancel()), 1);
}

TEST(cancel, "a cancelled timer does not fire; cancel says whether it was armed") {
    const auto one = MUST(Armed::create(test));
    EXPECT_EQ(MUST(one.timer.set_cancel()), 0);
    for (unsigned i = 0; i < 50; ++i) {
        EXPECT_OK(one.timer.set_arm(now() + milliseconds(200).nanoseconds, i % 2 * 20'000));
        EXPECT_EQ(MUST(one.timer.set_cancel()), 1);
        EXPECT_EQ(MUST(one.timer.set_cancel()), 0);
    }
    EXPECT_EQ(one.units(), 0);
    // In a race it has either fired or not, never both.
    uint64_t fired = 0;
    for (unsigned i = 0; i < 300; ++i) {
        EXPECT_OK(one.timer.set_arm(now() + i * 200, 0));
        const uint64_t armed = MUST(one.timer.set_cancel());
        const uint64_t units = one.units();
        EXPECT_EQ(units + armed, fired + 1);
        fired = units;
        if (test.failed()) break;
        fired = 0;
        while (wait_for(one.semaphore, Deadline::poll()).ok()) {
        }
    }
}

TEST(arm_again, "a new start forgets the earlier one") {
    const auto one = MUST(Armed::create(test));
    const uint64_t begin = now();
    EXPECT_OK(one.timer.set_arm(begin + milliseconds(500).nanoseconds, 10'000));
    EXPECT_OK(one.timer.set_arm(begin + milliseconds(3).nanoseconds, 0));
    EXPECT_OK(wait_for(one.semaphore));
    EXPECT(now() >= begin + milliseconds(3).nanoseconds);
    sleep(test, milliseconds(2));
    EXPECT_EQ(one.units(), 0);
}

TEST(periods, "firing n of a period is not early, and periods do not drift") {
    const auto one = MUST(Armed::create(test));
    constexpr uint64_t period = 500'000;
    constexpr unsigned count = 60;
    const uint64_t first = now() + period;
    EXPECT_OK(one.timer.set_arm(first, period));
    for (unsigned i = 0; i < count; ++i) {
        EXPECT_OK(wait_for(one.semaphore));
        EXPECT(now() >= first + i * period);
    }
    // Missed periods are one unit, so there are never more units than periods.
    const uint64_t units = count + one.units();
    EXPECT(units <= (now() - first) / period + 1);
    // The next one is at a multiple of the period behind the first.
    while (wait_for(one.semaphore, Deadline::poll()).ok()) {
    }
    const uint64_t before = now();
    EXPECT_OK(wait_for(one.semaphore));
    const uint64_t next = first + (before - first) / period * period;
    EXPECT(now() >= next);
    EXPECT_EQ(MUST(one.timer.set_cancel()), 1);
    report_count("period_units", units);
}

TEST(missed_periods, "periods that lie in the past are one unit, then the rhythm is kept") {
    const auto one = MUST(Armed::create(test));
    constexpr uint64_t period = 20'000'000'000;
    const uint64_t begin = now();
    EXPECT_OK(one.timer.set_arm(1, period));
    EXPECT_OK(wait_for(one.semaphore, Deadline::after(seconds(10))));
    EXPECT_EQ(one.units(), 0);
    EXPECT_EQ(MUST(one.timer.set_cancel()), 1);
    EXPECT_OK(one.timer.set_arm(1, 10'000));
    EXPECT_OK(wait_for(one.semaphore, Deadline::after(seconds(10))));
    EXPECT_EQ(MUST(one.timer.set_cancel()), 1);
    EXPECT(one.units() <= (now() - begin) / 10'000 + 1);
}

TEST(period_limits, "a period is at least 10 microseconds, or 0; any other is refused") {
    const auto one = MUST(Armed::create(test));
    const uint64_t far = now() + seconds(1000).nanoseconds;
    for (const uint64_t period : {uint64_t{1}, abi::timer_period_min_ns - 1}) {
        EXPECT_ERROR(one.timer.set_arm(far, period), Error::bad_argument);
        EXPECT_EQ(MUST(one.timer.set_cancel()), 0);
    }
    for (const uint64_t period : {uint64_t{0}, abi::timer_period_min_ns, ~uint64_t{0}}) {
        EXPECT_OK(one.timer.set_arm(far, period));
        EXPECT_EQ(MUST(one.timer.set_cancel()), 1);
    }
    // A period beyond the end of time: the first firing is the last.
    EXPECT_OK(one.timer.set_arm(1, ~uint64_t{0}));
    EXPECT_OK(wait_for(one.semaphore, Deadline::after(seconds(10))));
    sleep(test, milliseconds(2));
    EXPECT_EQ(one.units(), 0);
}

TEST(many, "many timers fire once each, whatever their deadlines") {
    constexpr unsigned count = 100;
    const auto semaphore =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    Timer timers[count];
    for (Timer& timer : timers) timer = MUST(test.budget().create_timer(semaphore));
    uint64_t spread = 1;
    uint64_t last = 0;
    for (const Timer& timer : timers) {
        spread = spread * 6364136223846793005 + 1442695040888963407;
        const uint64_t deadline = now() + (spread >> 40) % 20'000'000;
        last = deadline > last ? deadline : last;
        EXPECT_OK(timer.set_arm(deadline, 0));
    }
    for (unsigned i = 0; i < count; ++i) EXPECT_OK(wait_for(semaphore));
    EXPECT(now() >= last);
    sleep(test, milliseconds(1));
    EXPECT_EQ(MUST(semaphore.get_state()).value, 0);
}

TEST(closing, "a timer that is closed does not fire, and the ledger has its place back") {
    constexpr auto timers = static_cast<unsigned>(abi::Resource::timers);
    const auto before = MUST(test.budget().get_ledger());
    const auto semaphore =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    {
        const auto timer = MUST(test.budget().create_timer(semaphore));
        EXPECT_EQ(MUST(test.budget().get_ledger()).used[timers], before.used[timers] + 1);
        EXPECT_OK(timer.set_arm(now() + milliseconds(50).nanoseconds, 10'000));
    }
    EXPECT_EQ(MUST(test.budget().get_ledger()).used[timers], before.used[timers]);
    sleep(test, milliseconds(55));
    EXPECT_EQ(MUST(semaphore.get_state()).value, 0);
}

TEST(rights, "a timer needs the right to signal its semaphore") {
    const auto semaphore =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    const auto waits = MUST(semaphore.get_duplicate(abi::right_wait, 0));
    EXPECT_ERROR(test.budget().create_timer(SemaphoreReference(waits.handle.value())),
                 Error::no_right);
    EXPECT_ERROR(test.budget().create_timer(SemaphoreReference(test.budget().value())),
                 Error::wrong_type);
}
