// SPDX-License-Identifier: MIT
// Tests of the lock rank check, and of SpinLock as far as one thread can tell.
#include "kernel/lock/lock_rank.h"

#include "kernel/lock/spin_lock.h"

#include <gtest/gtest.h>

namespace annulus::kernel {
namespace {

TEST(HeldRanks, RanksStrictlyIncrease) {
    HeldRanks held;
    EXPECT_TRUE(held.may_acquire(LockRank::semaphore));
    held.acquire(LockRank::semaphore);
    EXPECT_FALSE(held.may_acquire(LockRank::semaphore));
    EXPECT_TRUE(held.may_acquire(LockRank::semaphore_set));
    held.acquire(LockRank::table);
    EXPECT_FALSE(held.may_acquire(LockRank::semaphore_set));
    EXPECT_EQ(held.count(), 2u);
}

TEST(HeldRanks, ReleaseInAnyOrder) {
    HeldRanks held;
    held.acquire(LockRank::semaphore);
    held.acquire(LockRank::table);
    held.release(LockRank::semaphore);
    EXPECT_FALSE(held.holds(LockRank::semaphore));
    EXPECT_TRUE(held.holds(LockRank::table));
    EXPECT_FALSE(held.may_acquire(LockRank::semaphore));
    held.release(LockRank::table);
    EXPECT_TRUE(held.none());
    EXPECT_TRUE(held.may_acquire(LockRank::semaphore));
}

TEST(HeldRanks, EveryRankNumberWorks) {
    HeldRanks held;
    for (uint8_t number = 0; number < 64; ++number) {
        ASSERT_TRUE(held.may_acquire(LockRank{number}));
        held.acquire(LockRank{number});
    }
    EXPECT_EQ(held.count(), 64u);
}

TEST(SpinLock, LockTryLockUnlock) {
    SpinLock lock(LockRank::table);
    EXPECT_FALSE(lock.held());
    {
        SpinGuard guard(lock);
        EXPECT_TRUE(lock.held());
    }
    EXPECT_FALSE(lock.held());
    if (!lock.try_lock()) FAIL() << "a free lock was not taken";
    EXPECT_TRUE(lock.held());
    lock.unlock();
    EXPECT_FALSE(lock.held());
}

// The compiler sees these bugs too; here the check at run time is on trial.
NO_THREAD_SAFETY_ANALYSIS void lock_in_order(SpinLock& first, SpinLock& second) {
    first.lock();
    second.lock();
}
NO_THREAD_SAFETY_ANALYSIS void unlock_only(SpinLock& lock) { lock.unlock(); }

TEST(SpinLockDebug, ReportsInsteadOfDeadlocking) {
    if (!debug_checks) GTEST_SKIP() << "lock ranks are checked in debug builds only";
    SpinLock outer(LockRank::semaphore);
    SpinLock inner(LockRank::table);
    EXPECT_DEATH(lock_in_order(inner, outer), "out of rank order");
    EXPECT_DEATH(lock_in_order(outer, outer), "out of rank order");
    EXPECT_DEATH(unlock_only(outer), "does not hold");
}

}  // namespace
}  // namespace annulus::kernel
