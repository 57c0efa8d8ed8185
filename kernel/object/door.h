// SPDX-License-Identifier: MIT
// Doors: one word of a semaphore or a set that the fast paths take instead of the object's lock.
//
// The word says who waits in the plain case, or what a signal has to do, and keeps others out. A
// fast path takes it by an exchange, does its few instructions with interrupts off, and leaves by a
// store; it never waits for another door or lock: who finds one shut puts everything back and goes
// to the general code. There the lock's holder shuts the door, and on its way out opens it again if
// the object is plain. docs/decisions/0010-the-semaphores-door.md; model: tests/models/door.
//
//   0                        open: nobody waits (set: nor is anything ready)
//   a thread's address       it waits here, for nothing else, without a deadline
//   another's, bit 62 clear  a member's semaphore: its record; a bound set: the table
//   bit 63 alone             closed
//
// Order: semaphore's lock or door, set's, table's lock.
#pragma once

#include "arch/kernel_address.h"

#include <stdint.h>

namespace annulus::kernel {

struct Thread;

inline constexpr uint64_t door_open = 0;
inline constexpr uint64_t door_closed = uint64_t{1} << 63;

inline constexpr unsigned door_thread_bit = 62;
inline constexpr unsigned door_address_bit = 61;

// What marks a thread's address: nothing, as the upper bits of every address of the kernel are set.
// On the host, where tests run, they are clear.
inline constexpr uint64_t door_thread_mark =
    (uint64_t{1} << door_thread_bit) & ~arch::kernel_address_bits;

inline bool names_thread(uint64_t door) { return (door >> door_thread_bit & 1) != 0; }

inline uint64_t door_to_thread(const Thread& thread) {
    return reinterpret_cast<uint64_t>(&thread) | door_thread_mark;
}
// The thread that the door names.
inline Thread& thread_behind(uint64_t door) {
    // Safety: names_thread(door): it is the address of a thread that waits, so it cannot go away.
    return *reinterpret_cast<Thread*>(door & ~door_thread_mark);
}

// For what is not a thread.
template <typename T>
uint64_t door_to(const T& object) {
    return reinterpret_cast<uint64_t>(&object) & ~(uint64_t{1} << door_thread_bit);
}

}  // namespace annulus::kernel
