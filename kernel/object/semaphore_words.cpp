// SPDX-License-Identifier: MIT
// Registry of semaphore words: a hash table by the word's kernel address.
#include "kernel/object/semaphore_words.h"

#include "kernel/lock/spin_lock.h"
#include "kernel/object/semaphore.h"

namespace annulus::kernel {

namespace {

constexpr unsigned bucket_count = 1024;

// Semaphores whose words lie in different buckets do not wait for each other.
struct Bucket {
    SpinLock lock{LockRank::semaphore_words};
    IntrusiveList<Semaphore, SemaphoreOfWord> semaphores GUARDED_BY(lock);
};
constinit Bucket buckets[bucket_count];

// Words are 8 bytes apart; the multiplier is 2^64 divided by the golden ratio.
Bucket& bucket_of(uint64_t word) { return buckets[(word >> 3) * 0x9e3779b97f4a7c15u >> 54]; }

}  // namespace

Result<void> register_semaphore_word(Semaphore& semaphore) {
    const uint64_t word = semaphore.word_address();
    Bucket& bucket = bucket_of(word);
    SpinGuard guard(bucket.lock);
    for (Semaphore& other : bucket.semaphores) {
        if (other.word_address() == word) return Error::busy;
    }
    bucket.semaphores.push_back(semaphore);
    return {};
}

void unregister_semaphore_word(Semaphore& semaphore, uint64_t word) {
    Bucket& bucket = bucket_of(word);
    SpinGuard guard(bucket.lock);
    bucket.semaphores.remove(semaphore);
}

}  // namespace annulus::kernel
