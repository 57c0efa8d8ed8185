// SPDX-License-Identifier: MIT
// SpinLock between threads: mutual exclusion, and no data race that the thread sanitizer can see.
#include "kernel/lock/spin_lock.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace annulus::kernel {
namespace {

TEST(SpinLockThreads, CountsExactly) {
    SpinLock lock(LockRank::table);
    uint64_t plain_counter = 0;
    uint64_t by_try = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 20'000; ++i) {
                if (i % 3 == 0 && lock.try_lock()) {
                    ++by_try;
                    ++plain_counter;
                    lock.unlock();
                } else {
                    SpinGuard guard(lock);
                    ++plain_counter;
                }
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(plain_counter, 80'000u);
    EXPECT_GT(by_try, 0u);
    EXPECT_FALSE(lock.held());
}

}  // namespace
}  // namespace annulus::kernel
