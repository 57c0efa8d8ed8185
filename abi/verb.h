// SPDX-License-Identifier: MIT
// The sixteen verbs, and the rights: one bit a verb, then eight bits an object type may define.
#pragma once

#include <stdint.h>

namespace annulus::abi {

// Closed and numbered: a verb means the same on every object.
enum class Verb : uint8_t {
    read = 0,
    write = 1,
    open = 2,
    create = 3,
    remove = 4,
    rename = 5,
    get = 6,
    set = 7,
    list = 8,
    share = 9,
    map = 10,
    sync = 11,
    accept = 12,
    shutdown = 13,
    watch = 14,
    close = 15,
};

inline constexpr unsigned verb_count = 16;

// A set of rights: bit i is verb i, bits 16..23 belong to the object's type.
using Rights = uint32_t;

constexpr Rights right_of(Verb verb) { return Rights{1} << static_cast<unsigned>(verb); }

inline constexpr Rights all_rights = 0xffffff;

// Type bits. The same bit means different things on different types.
inline constexpr Rights right_signal = 1u << 16;   // semaphore; channel: ring the peer
inline constexpr Rights right_wait = 1u << 17;     // semaphore, channel (for its own bell), set
inline constexpr Rights right_execute = 1u << 16;  // memory: map it executable
inline constexpr Rights right_serve = 1u << 16;    // table: reply_and_wait
inline constexpr Rights right_enter = 1u << 16;    // ring: submit and wait
inline constexpr Rights right_spend = 1u << 16;    // budget: let a new object be charged to it

}  // namespace annulus::abi
