// SPDX-License-Identifier: MIT
// Range checks before the instructions that touch user memory.
#include "arch/user_access.h"

// In user_copy.S. `to` or `from` is a user address that passed in_user_range.
extern "C" bool user_copy(uint64_t to, uint64_t from, size_t size);
extern "C" bool user_zero(uint64_t to, size_t size);
extern "C" bool user_load_u64(uint64_t* to, uint64_t from);
extern "C" bool user_load_u32(uint32_t* to, uint64_t from);
extern "C" bool user_store_u64(uint64_t to, uint64_t value);

namespace annulus::arch {

bool copy_from_user(void* to, UserAddress from, size_t size) {
    return in_user_range(from, size) && user_copy(reinterpret_cast<uint64_t>(to), from.value, size);
}

bool copy_to_user(UserAddress to, const void* from, size_t size) {
    return in_user_range(to, size) && user_copy(to.value, reinterpret_cast<uint64_t>(from), size);
}

bool zero_user(UserAddress to, size_t size) {
    return in_user_range(to, size) && user_zero(to.value, size);
}

bool read_user_u64(uint64_t& to, UserAddress from) {
    return from.value % sizeof(to) == 0 && in_user_range(from, sizeof(to)) &&
           user_load_u64(&to, from.value);
}

bool write_user_u64(UserAddress to, uint64_t value) {
    return to.value % sizeof(value) == 0 && in_user_range(to, sizeof(value)) &&
           user_store_u64(to.value, value);
}

bool read_user_u32(uint32_t& to, UserAddress from) {
    return from.value % sizeof(to) == 0 && in_user_range(from, sizeof(to)) &&
           user_load_u32(&to, from.value);
}

}  // namespace annulus::arch
