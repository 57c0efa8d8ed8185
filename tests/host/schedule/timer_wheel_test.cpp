// SPDX-License-Identifier: MIT
// Tests of the timing wheel: never early, at most a tick late, whatever the numbers; bounded steps;
// random operations against a sorted list.
#include "kernel/schedule/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <vector>

namespace annulus::kernel {
namespace {

constexpr uint64_t never = abi::deadline_never;
constexpr uint64_t tick = TimerWheel::tick_ns;

struct TestTimer : Timer {
    TestTimer() {
        callback = [](Timer& timer) { ++static_cast<TestTimer&>(timer).fired; };
    }
    uint32_t fired = 0;
};

uint64_t rounded_up(uint64_t deadline) { return (deadline + tick - 1) / tick * tick; }

class TimerWheelTest : public testing::Test {
protected:
    std::unique_ptr<TimerWheel> wheel = std::make_unique<TimerWheel>();
    TestTimer timer;
};

TEST_F(TimerWheelTest, EmptyWheelNeedsNothing) {
    EXPECT_EQ(wheel->next_deadline(), never);
    const auto expired = wheel->expire(1'000'000, 64);
    EXPECT_EQ(expired.fired, 0u);
    EXPECT_FALSE(expired.more);
    EXPECT_FALSE(wheel->cancel(timer));
}

TEST_F(TimerWheelTest, PastDeadlinesAreDueAtOnce) {
    wheel->expire(5'000'500, 64);
    for (uint64_t deadline : {uint64_t{0}, uint64_t{1}, uint64_t{5'000'499}, uint64_t{5'000'500}}) {
        wheel->add(timer, deadline, 5'000'500);
        EXPECT_TRUE(timer.armed());
        EXPECT_EQ(wheel->next_deadline(), 0u);
        EXPECT_EQ(wheel->expire(5'000'500, 64).fired, 1u);
        EXPECT_FALSE(timer.armed());
    }
}

TEST_F(TimerWheelTest, NeverMeansNever) {
    wheel->add(timer, never, 0);
    EXPECT_TRUE(timer.armed());
    EXPECT_EQ(wheel->next_deadline(), never);
    EXPECT_EQ(wheel->expire(never, 64).fired, 0u);
    EXPECT_TRUE(wheel->cancel(timer));
    wheel->add(timer, never, never);
    EXPECT_EQ(wheel->expire(never, 64).fired, 0u);
    EXPECT_TRUE(wheel->cancel(timer));
}

// For every power of two and its neighbours: following next_deadline() reaches the deadline in few
// steps and fires exactly at the next tick.
TEST_F(TimerWheelTest, ConvergesOnEveryDeadline) {
    for (uint64_t start : {uint64_t{0}, uint64_t{1023}, uint64_t{0xfff'ffff'ffff}}) {
        for (uint32_t bit = 0; bit < 64; ++bit) {
            for (int64_t offset : {-1025, -1024, -1, 0, 1, 1023, 1024}) {
                const uint64_t deadline = (uint64_t{1} << bit) + static_cast<uint64_t>(offset);
                if (deadline <= start || deadline > never - 2 * tick) continue;
                wheel = std::make_unique<TimerWheel>();
                wheel->expire(start, 64);
                timer.fired = 0;
                wheel->add(timer, deadline, start);
                uint64_t now = start;
                int steps = 0;
                while (timer.fired == 0) {
                    const uint64_t next = wheel->next_deadline();
                    ASSERT_GT(next, now);
                    ASSERT_LE(next, rounded_up(deadline));
                    now = next;
                    wheel->expire(now - 1, 64);
                    ASSERT_EQ(timer.fired, 0u);
                    wheel->expire(now, 64);
                    ASSERT_LE(++steps, 9);
                }
                ASSERT_EQ(now, rounded_up(deadline));
            }
        }
    }
}

TEST_F(TimerWheelTest, TheEndOfTime) {
    const uint64_t last = never - tick + 1;  // the last tick's first nanosecond
    TestTimer late, too_late;
    wheel->add(timer, last, 0);
    wheel->add(late, last + 1, 0);
    wheel->add(too_late, never - 1, 0);
    EXPECT_EQ(wheel->expire(last - 1, 64).fired, 0u);
    EXPECT_EQ(wheel->expire(never, 64).fired, 1u);
    EXPECT_EQ(timer.fired, 1u);
    EXPECT_TRUE(wheel->cancel(late));
    EXPECT_TRUE(wheel->cancel(too_late));
    // At that time a deadline that has passed is due as ever.
    wheel->add(late, never - 1, never);
    EXPECT_EQ(wheel->expire(never, 64).fired, 1u);
}

TEST_F(TimerWheelTest, WorkIsBounded) {
    std::vector<TestTimer> timers(1000);
    // All in one slot of level 2, so that they move down twice before they fire.
    for (size_t i = 0; i < timers.size(); ++i) wheel->add(timers[i], 10'000'000 + i, 0);
    uint32_t fired = 0;
    uint32_t calls = 0;
    for (bool more = true; more; ++calls) {
        const auto expired = wheel->expire(20'000'000, 64);
        EXPECT_LE(expired.fired, 64u);
        fired += expired.fired;
        more = expired.more;
        if (more) {
            EXPECT_LE(wheel->next_deadline(), 20'000'000u);
        }
    }
    EXPECT_EQ(fired, 1000u);
    EXPECT_GE(calls, 3000u / 64);
    EXPECT_EQ(wheel->next_deadline(), never);
    EXPECT_FALSE(wheel->expire(20'000'000, 0).more);
}

TEST_F(TimerWheelTest, CancelWhileMovingDown) {
    std::vector<TestTimer> timers(100);
    for (TestTimer& each : timers) wheel->add(each, 10'000'000, 0);
    const auto expired = wheel->expire(20'000'000, 10);
    EXPECT_TRUE(expired.more);
    for (TestTimer& each : timers) wheel->cancel(each);
    EXPECT_EQ(wheel->next_deadline(), never);
    EXPECT_FALSE(wheel->expire(30'000'000, 64).more);
}

// A timer that arms itself again from its callback.
struct Periodic : Timer {
    TimerWheel* wheel = nullptr;
    uint32_t fired = 0;
};

TEST_F(TimerWheelTest, CallbacksMayAddAndCancel) {
    Periodic periodic;
    periodic.wheel = wheel.get();
    periodic.callback = [](Timer& expired) {
        auto& self = static_cast<Periodic&>(expired);
        EXPECT_FALSE(self.armed());
        ++self.fired;
        self.wheel->add(self, self.deadline_ns + 10'000, self.deadline_ns);
    };
    wheel->add(periodic, 10'000, 0);
    for (uint64_t now = 0; now <= 1'000'000 + tick; now += 500) wheel->expire(now, 64);
    EXPECT_EQ(periodic.fired, 100u);
    // One that is always due uses up the bound and no more.
    wheel->cancel(periodic);
    periodic.callback = [](Timer& expired) {
        auto& self = static_cast<Periodic&>(expired);
        self.wheel->add(self, 0, 1);
    };
    wheel->add(periodic, 0, 2'000'000);
    const auto expired = wheel->expire(2'000'000, 64);
    EXPECT_EQ(expired.fired, 64u);
    EXPECT_TRUE(expired.more);
}

TEST(TimerWheelDeathTest, ArmingTwiceStops) {
    TimerWheel wheel;
    Timer timer;
    wheel.add(timer, 5, 0);
    EXPECT_DEATH(wheel.add(timer, 6, 0), "armed already");
}

class Model {
public:
    explicit Model(uint32_t seed) : random_(seed), timers_(500) {}

    void step() {
        const uint32_t choice = random_() % 100;
        if (choice < 60) {
            add_or_cancel(timers_[random_() % timers_.size()]);
        } else if (choice < 70) {
            pass(random_() % 3000, 1 + random_() % 20);
        } else if (choice < 95) {
            const uint64_t next = wheel_->next_deadline();
            if (next == never) return;
            pass(next > now_ ? next - now_ : 0, 1'000'000);
        } else {
            pass(random_time() / 16, 1'000'000);
        }
        check_bound();
    }

    bool time_left() const { return now_ < never / 2; }
    uint32_t fired() const { return fired_; }

private:
    // Evenly spread over the orders of magnitude.
    uint64_t random_time() {
        const uint32_t bits = random_() % 44;
        return (uint64_t{random_()} << 32 | random_()) >> (63 - bits);
    }

    void add_or_cancel(TestTimer& timer) {
        if (timer.armed()) {
            ASSERT_TRUE(wheel_->cancel(timer));
            forget(timer);
            return;
        }
        uint64_t deadline = now_ + random_time();
        if (random_() % 16 == 0) deadline = random_() % 2 ? never : never - random_() % 4096;
        if (random_() % 16 == 0) deadline = now_ - std::min<uint64_t>(now_, random_time());
        wheel_->add(timer, deadline, now_);
        model_.emplace(deadline, &timer);
    }

    void forget(TestTimer& timer) {
        auto [it, end] = model_.equal_range(timer.deadline_ns);
        while (it != end && it->second != &timer) ++it;
        ASSERT_NE(it, end);
        model_.erase(it);
    }

    void pass(uint64_t duration, uint32_t work) {
        now_ += duration;
        while (Timer* timer = wheel_->take_due(now_, work)) {
            ASSERT_LE(timer->deadline_ns, now_);  // never early
            forget(static_cast<TestTimer&>(*timer));
            ++fired_;
        }
        if (work == 0 || model_.empty()) return;
        // Nothing that should have fired is left.
        ASSERT_GT(rounded_up(model_.begin()->first), now_ / tick * tick);
        ASSERT_GT(wheel_->next_deadline(), now_);
    }

    void check_bound() {
        if (model_.empty()) return;
        const uint64_t first = model_.begin()->first;
        if (first <= never - 2 * tick) {
            ASSERT_LE(wheel_->next_deadline(), rounded_up(first));
        }
    }

    std::mt19937 random_;
    std::unique_ptr<TimerWheel> wheel_ = std::make_unique<TimerWheel>();
    std::vector<TestTimer> timers_;
    std::multimap<uint64_t, TestTimer*> model_;
    uint64_t now_ = 0;
    uint32_t fired_ = 0;
};

TEST(TimerWheelRandom, MatchesAModel) {
    uint32_t fired = 0;
    for (uint32_t seed = 0; seed < 20; ++seed) {
        Model model(seed);
        for (int step = 0; step < 20'000 && model.time_left(); ++step) {
            model.step();
            if (testing::Test::HasFatalFailure()) FAIL() << "seed " << seed << " step " << step;
        }
        fired += model.fired();
    }
    EXPECT_GT(fired, 50'000u);
}

}  // namespace
}  // namespace annulus::kernel
