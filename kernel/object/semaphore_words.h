// SPDX-License-Identifier: MIT
// Which words in memory have a semaphore, a word at most one: a hash table by the word's kernel
// address.
#pragma once

#include "kernel/lock/spin_lock.h"
#include "kernel/object/semaphore.h"

namespace annulus::kernel {

struct SemaphoreWords {
    static constexpr unsigned bucket_count = 1024;
    // Semaphores whose words lie in different buckets do not wait for each other.
    struct Bucket {
        SpinLock lock{LockRank::semaphore_words};
        IntrusiveList<Semaphore, SemaphoreOfWord> semaphores GUARDED_BY(lock);
    };
    static Bucket buckets[bucket_count];

    // Words are 8 bytes apart; the multiplier is 2^64 divided by the golden ratio.
    static Bucket& bucket_of(uint64_t word) {
        return buckets[(word >> 3) * 0x9e3779b97f4a7c15u >> 54];
    }
};

// Claims the semaphore's word. False: it has a semaphore already.
inline bool register_semaphore_word(Semaphore& semaphore) {
    const uint64_t word = semaphore.word_address();
    SemaphoreWords::Bucket& bucket = SemaphoreWords::bucket_of(word);
    SpinGuard guard(bucket.lock);
    for (const Semaphore& other : bucket.semaphores) {
        if (other.word_address() == word) return false;
    }
    bucket.semaphores.push_back(semaphore);
    return true;
}

// Gives up the word at this kernel address, which the semaphore does not use any more.
inline void unregister_semaphore_word(Semaphore& semaphore, uint64_t word) {
    SemaphoreWords::Bucket& bucket = SemaphoreWords::bucket_of(word);
    SpinGuard guard(bucket.lock);
    bucket.semaphores.remove(semaphore);
}

}  // namespace annulus::kernel
