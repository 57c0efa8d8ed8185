// SPDX-License-Identifier: MIT
// Tasks, scopes and the queue of deadlines: everything of the executor that makes no system call.
#include "runtime/coroutine/deadline_queue.h"
#include "runtime/coroutine/task_scope.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

namespace annulus {
namespace {

// Lets a coroutine wait until the test resumes it.
struct Gate {
    struct Wait {
        Gate& gate;
        bool await_ready() const { return false; }
        void await_suspend(std::coroutine_handle<> handle) const { gate.waiting = handle; }
        int await_resume() const { return gate.value; }
        ~Wait() { gate.waiting = nullptr; }
    };
    Wait wait() { return {*this}; }
    void open(int with) {
        value = with;
        std::exchange(waiting, nullptr).resume();
    }
    std::coroutine_handle<> waiting;
    int value = 0;
};

Task<int> twice(Gate& gate) {
    const int first = co_await gate.wait();
    const int second = co_await gate.wait();
    co_return first + second;
}

Task<int> fail_if_negative(Gate& gate) {
    const int value = co_await gate.wait();
    if (value < 0) co_return Error::refused;
    co_return value;
}

Task<int> sum(Gate& gate) {
    const int first = CO_TRY(co_await fail_if_negative(gate));
    const int second = CO_TRY(co_await twice(gate));
    co_return first + second;
}

TEST(Task, AwaitsOthersAndAnswersTheirSum) {
    Gate gate;
    int seen = 0;
    const auto root = [&]() -> Task<void> {
        seen = CO_TRY(co_await sum(gate));
        co_return {};
    };
    TaskScope scope;
    ASSERT_TRUE(scope.spawn(root()).ok());
    EXPECT_EQ(scope.running(), 1u);
    gate.open(1);
    gate.open(20);
    EXPECT_EQ(seen, 0);
    gate.open(300);
    EXPECT_EQ(seen, 321);
    EXPECT_EQ(scope.running(), 0u);
    EXPECT_TRUE(scope.failure().ok());
}

TEST(Task, PassesAnErrorOnAndRunsNothingBehindIt) {
    Gate gate;
    bool behind = false;
    const auto root = [&]() -> Task<void> {
        CO_TRY(co_await sum(gate));
        behind = true;
        co_return {};
    };
    TaskScope scope;
    ASSERT_TRUE(scope.spawn(root()).ok());
    gate.open(-1);
    EXPECT_FALSE(behind);
    EXPECT_EQ(scope.running(), 0u);
    EXPECT_EQ(scope.failure().code(), Error::refused);
}

TEST(Task, DoesNothingUntilItIsAwaited) {
    bool ran = false;
    const auto root = [&]() -> Task<void> {
        ran = true;
        co_return {};
    };
    {
        const Task<void> never = root();
    }
    EXPECT_FALSE(ran);
    TaskScope scope;
    ASSERT_TRUE(scope.spawn(root()).ok());
    EXPECT_TRUE(ran);
}

TEST(Task, ALongRowOfFinishedTasksNeedsNoStack) {
    const auto one = []() -> Task<int> { co_return 1; };
    int total = 0;
    const auto root = [&]() -> Task<void> {
        for (int i = 0; i < 100'000; ++i) total += CO_TRY(co_await one());
        co_return {};
    };
    TaskScope scope;
    ASSERT_TRUE(scope.spawn(root()).ok());
    EXPECT_EQ(total, 100'000);
}

TEST(TaskScope, CancelsWhatIsNotDoneFromTheInsideOut) {
    Gate first, second;
    std::vector<int> ended;
    struct Mark {
        std::vector<int>& list;
        int which;
        ~Mark() { list.push_back(which); }
    };
    const auto inner = [&](Gate& gate, int which) -> Task<void> {
        const Mark mark{ended, which};
        co_await gate.wait();
        co_return {};
    };
    const auto outer = [&](Gate& gate, int which) -> Task<void> {
        const Mark mark{ended, which};
        CO_TRY(co_await inner(gate, which + 1));
        co_return {};
    };
    {
        TaskScope scope;
        ASSERT_TRUE(scope.spawn(outer(first, 10)).ok());
        ASSERT_TRUE(scope.spawn(outer(second, 20)).ok());
        first.open(0);
        EXPECT_EQ(scope.running(), 1u);
        EXPECT_EQ(ended, (std::vector{11, 10}));
    }
    ASSERT_EQ(ended.size(), 4u);
    EXPECT_TRUE(std::count(ended.begin(), ended.end(), 21) == 1);
    EXPECT_EQ(second.waiting, nullptr);
}

TEST(DeadlineQueue, GivesEntriesInOrder) {
    std::mt19937 random(7);
    for (int round = 0; round < 50; ++round) {
        const unsigned count = 1 + random() % 200;
        const auto entries = std::make_unique<DeadlineQueue::Entry[]>(count);
        std::vector<uint64_t> times;
        std::vector<bool> removed(count);
        DeadlineQueue queue;
        for (unsigned i = 0; i < count; ++i) {
            queue.add(entries[i], random() % 100);
            times.push_back(entries[i].at());
        }
        for (unsigned i = 0; i < count / 3; ++i) {
            const unsigned which = random() % count;
            if (removed[which]) continue;
            removed[which] = true;
            DeadlineQueue::Entry& gone = entries[which];
            times.erase(std::find(times.begin(), times.end(), gone.at()));
            queue.remove(gone);
        }
        std::sort(times.begin(), times.end());
        for (const uint64_t time : times) {
            ASSERT_NE(queue.earliest(), nullptr);
            EXPECT_EQ(queue.earliest()->at(), time);
            queue.remove(*queue.earliest());
        }
        EXPECT_TRUE(queue.empty());
    }
}

}  // namespace
}  // namespace annulus
