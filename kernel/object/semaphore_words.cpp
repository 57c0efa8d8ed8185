// SPDX-License-Identifier: MIT
// Registry of semaphore words: a hash table by the word's kernel address.
#include "kernel/object/semaphore_words.h"

#include "kernel/lock/spin_lock.h"
#include "kernel/object/semaphore.h"

namespace annulus::kernel {

namespace {

constexpr unsigned bucket_count = 1024;

SpinLock words_lock{LockRank::semaphore_words};
IntrusiveList<Semaphore, SemaphoreOfWord> buckets[bucket_count];

// Words are 8 bytes apart; the multiplier is 2^64 divided by the golden ratio.
unsigned bucket_of(const Semaphore& semaphore) {
    return static_cast<unsigned>((semaphore.word_address() >> 3) * 0x9e3779b97f4a7c15u >> 54);
}

}  // namespace

Result<void> register_semaphore_word(Semaphore& semaphore) {
    SpinGuard guard(words_lock);
    auto& bucket = buckets[bucket_of(semaphore)];
    for (Semaphore& other : bucket) {
        if (other.word_address() == semaphore.word_address()) return Error::busy;
    }
    bucket.push_back(semaphore);
    return {};
}

void unregister_semaphore_word(Semaphore& semaphore) {
    SpinGuard guard(words_lock);
    if (static_cast<ListNode<SemaphoreOfWord>&>(semaphore).linked()) {
        buckets[bucket_of(semaphore)].remove(semaphore);
    }
}

}  // namespace annulus::kernel
