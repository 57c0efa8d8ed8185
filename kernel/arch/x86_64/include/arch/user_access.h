// SPDX-License-Identifier: MIT
// The only code that touches user memory: checked against the user range, recovers from faults.
#pragma once

#include "abi/limits.h"

#include <stddef.h>
#include <stdint.h>

namespace annulus::arch {

// An address that a program chose. Never dereferenced except by the functions below.
struct UserAddress {
    uint64_t value = 0;

    constexpr UserAddress operator+(uint64_t offset) const { return {value + offset}; }
    constexpr bool operator==(const UserAddress&) const = default;
};

// True when [address, address + size) lies in user space; an empty range is inside anywhere in it.
constexpr bool in_user_range(UserAddress address, uint64_t size) {
    return address.value >= abi::user_begin && address.value <= abi::user_end &&
           size <= abi::user_end - address.value;
}

// All of these act on the loaded page table and return false when the range is not user space or a
// page is missing or lacks the access (after kernel_resolve_user_fault declined it). A failed copy
// may have copied a part. Each byte is read or written once, in no promised order.
[[nodiscard]] bool copy_from_user(void* to, UserAddress from, size_t size);
[[nodiscard]] bool copy_to_user(UserAddress to, const void* from, size_t size);
[[nodiscard]] bool zero_user(UserAddress to, size_t size);

// One aligned word, in one access; false also when it is not aligned.
[[nodiscard]] bool read_user_u64(uint64_t& to, UserAddress from);
[[nodiscard]] bool write_user_u64(UserAddress to, uint64_t value);
[[nodiscard]] bool read_user_u32(uint32_t& to, UserAddress from);

}  // namespace annulus::arch
