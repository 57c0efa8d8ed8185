// SPDX-License-Identifier: MIT
// Plans: what is looked at in an operation before its handler runs, made from abi/operations.h, and
// where the plan for an operation is. Assembly (syscall/operation_path.S) and dispatch.cpp use
// them.
#pragma once

#include "kernel/syscall/invocation.h"

#include <array>

namespace annulus::kernel {

struct Plan {
    Handler handler;
    uint64_t operation;   // as in rsi, of the flags only call_takes_handles, if it answers any
    abi::Rights right;    // that the handle must have
    uint32_t bytes_mask;  // of the size of the bytes for the object: must be zero
    uint8_t operands;     // words from here on are zero
};
static_assert(sizeof(Plan) == 32);

// Where the number of the plan is, by type, verb and five bits of the selector. Every place has
// one, which is the right one if its operation is the one asked for.
constexpr unsigned place_of(abi::ObjectType type, uint64_t operation) {
    const auto low = static_cast<uint32_t>(operation);
    return ((static_cast<unsigned>(type) << 1 | low >> 31) << 8) | ((low | low >> 12) & 0xff);
}
inline constexpr unsigned place_count = abi::object_type_count << 9;

extern "C" {
// In the order of abi::operations, and then one that nobody can ask for.
extern const std::array<Plan, abi::operation_count + 1> operation_plans;
extern const std::array<uint8_t, place_count> operation_places;
}

}  // namespace annulus::kernel
