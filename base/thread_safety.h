// SPDX-License-Identifier: MIT
// Names for clang's thread-safety attributes: the compiler then checks who holds which lock.
#pragma once

// On a class that is a lock, and on a class that holds one for the length of a scope.
#define LOCK_TYPE __attribute__((capability("lock")))
#define SCOPED_LOCK_TYPE __attribute__((scoped_lockable))

// On data: touched only while the lock is held.
#define GUARDED_BY(lock) __attribute__((guarded_by(lock)))

// On functions: the lock is held at entry; is not held at entry; is taken; is released.
#define REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define EXCLUDES(...) __attribute__((locks_excluded(__VA_ARGS__)))
#define ACQUIRES(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define TRY_ACQUIRES(...) __attribute__((try_acquire_capability(__VA_ARGS__)))
#define RELEASES(...) __attribute__((release_capability(__VA_ARGS__)))

// On a function whose locking the analysis cannot follow; say why beside it.
#define NO_THREAD_SAFETY_ANALYSIS __attribute__((no_thread_safety_analysis))
