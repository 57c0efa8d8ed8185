// SPDX-License-Identifier: MIT
// Mutual exclusion between the threads of a process, and the guard that holds it for a scope.
//
// A counting semaphore with one unit: 6 instructions each way while uncontended. No owner, so no
// recursion and no priority inheritance: hold it briefly.
#pragma once

#include "base/thread_safety.h"
#include "runtime/end.h"
#include "runtime/semaphore.h"

namespace annulus {

class LOCK_TYPE Mutex {
public:
    static Result<Mutex> create() { return Mutex(TRY(CountingSemaphore::create(1))); }

    // Fails only if the semaphore was taken away (its budget was destroyed): then nothing that the
    // mutex guards can be trusted, and the program ends.
    void lock() ACQUIRES() {
        if (!unit_.down().ok()) panic("a mutex cannot be locked");
    }
    void unlock() RELEASES() {
        if (!unit_.up().ok()) panic("a mutex cannot be unlocked");
    }

private:
    explicit Mutex(CountingSemaphore unit) : unit_(std::move(unit)) {}
    CountingSemaphore unit_;
};

class SCOPED_LOCK_TYPE Lock {
public:
    explicit Lock(Mutex& mutex) ACQUIRES(mutex) : mutex_(mutex) { mutex_.lock(); }
    ~Lock() RELEASES() { mutex_.unlock(); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

private:
    Mutex& mutex_;
};

}  // namespace annulus
