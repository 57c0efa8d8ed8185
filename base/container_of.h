// SPDX-License-Identifier: MIT
// container_of: from a member that something else was handed (a timer, a work item) to its owner.
#pragma once

#include <stdint.h>

#include <bit>

namespace annulus {

// The object of type Class whose member `pointer` is `member`. The caller knows that it is one.
template <typename Class, typename Member>
Class& container_of(Member& member, Member Class::* pointer) {
    // Safety: a pointer to a data member is its offset (Itanium C++ ABI 2.3), and the member lies
    // in a Class by the caller's word.
    static_assert(sizeof(pointer) == sizeof(int64_t));
    const auto offset = std::bit_cast<int64_t>(pointer);
    return *reinterpret_cast<Class*>(reinterpret_cast<char*>(&member) - offset);
}

}  // namespace annulus
