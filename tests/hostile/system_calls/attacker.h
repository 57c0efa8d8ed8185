// SPDX-License-Identifier: MIT
// The process that makes random system calls, and what it shares with its parent.
#pragma once

#include "abi/operations.h"
#include "tests/guest/child.h"

namespace annulus::test::attack {

// Argument pages of the attacker: written, unmapped and protected while calls use them.
inline constexpr uint64_t arguments_at = 0x700000000000;
inline constexpr unsigned argument_pages = 4;

// Words shared with the parent; the pool of handles follows.
enum Place : unsigned { seed, calls, successes, soon, threads, pool_begin = 16 };

// Handles by type, some of them closed or dead by now.
class Pool {
public:
    static constexpr unsigned of_each_type = 16;

    explicit Pool(Child::Word* words) : words_(words + pool_begin) {}

    // In the place of an older one, round and round.
    void add(abi::ObjectType type, abi::Handle handle) {
        Child::Word* own = of(type);
        own[1 + own[0].fetch_add(1) % of_each_type].store(handle);
    }
    // One of them; none if there was never any.
    abi::Handle get(abi::ObjectType type, unsigned index) const {
        const Child::Word* own = of(type);
        const uint64_t count = own[0].load();
        if (count == 0) return abi::no_handle;
        return own[1 + index % (count < of_each_type ? count : of_each_type)].load();
    }
    bool has(abi::ObjectType type) const { return of(type)[0].load() != 0; }

private:
    Child::Word* of(abi::ObjectType type) const {
        return words_ + static_cast<unsigned>(type) * (of_each_type + 1);
    }
    Child::Word* words_;
};
static_assert(pool_begin + abi::object_type_count * (Pool::of_each_type + 1) < Child::word_count);

// Functions of the attacker's threads.
void call_at_random(Child::Word* words);
void change_arguments(Child::Word* words);

}  // namespace annulus::test::attack
