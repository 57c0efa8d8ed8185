// SPDX-License-Identifier: MIT
// What lwIP gets from its surroundings: time and random numbers. Policy-free.
#pragma once

#include <stdint.h>

namespace annulus::net {

// The time that lwIP sees from now on, in nanoseconds. It never goes back.
void set_stack_time(uint64_t now);

// Starts the random numbers (ports, identifiers, sequence numbers) from `seed`. They are as hard to
// guess as the seed is.
void seed_stack(uint64_t seed);

// The next of them, for hosts' choices beside lwIP's.
uint64_t stack_random();

}  // namespace annulus::net
