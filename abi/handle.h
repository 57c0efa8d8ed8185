// SPDX-License-Identifier: MIT
// Handles: a process's unforgeable name for an object.
#pragma once

#include <stdint.h>

namespace annulus::abi {

// slot (low 32 bits) + generation (high 32 bits). A slot is retired before its generation wraps,
// so a stale handle never names a new object. The value 0 names nothing.
using Handle = uint64_t;

inline constexpr Handle no_handle = 0;

constexpr uint32_t slot_of(Handle handle) { return static_cast<uint32_t>(handle); }
constexpr uint32_t generation_of(Handle handle) { return static_cast<uint32_t>(handle >> 32); }
constexpr Handle make_handle(uint32_t slot, uint32_t generation) {
    return uint64_t{generation} << 32 | slot;
}

// What a handle can name. `none` marks a free slot.
enum class ObjectType : uint8_t {
    none = 0,
    budget = 1,
    process = 2,
    thread = 3,
    memory = 4,
    semaphore = 5,
    table = 6,
    served = 7,
    timer = 8,
    hardware = 9,
    ports = 10,
    interrupt = 11,
    power = 12,
    console = 13,
    set = 14,      // of semaphores
    channel = 15,  // one end of a channel
    ring = 16,
    any = 31,  // in descriptions only: an operand of any type, or an operation every object has
};

inline constexpr unsigned object_type_count = 32;  // numbers without a type included

}  // namespace annulus::abi
