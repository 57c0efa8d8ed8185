// SPDX-License-Identifier: MIT
// What tests of tables need beside a table: operations, and the client's side of calls.
#pragma once

#include "runtime/semaphore.h"
#include "tests/guest/table_bench.h"
#include "tests/guest/threads.h"

#include <string.h>

namespace annulus::test {

inline constexpr uint64_t op_write = abi::operation_word(abi::Verb::write, 1);
inline constexpr uint64_t op_share(unsigned mask) {
    return abi::operation_word(abi::Verb::share, 1, mask);
}

inline system::CallAnswer call(ServedReference object, uint64_t operation, uint64_t word_0 = 0) {
    return system::call_words(object.value(), operation, word_0);
}
inline system::CallAnswer call(ServedReference object, uint64_t operation, uint64_t word_0,
                               uint64_t deadline) {
    return system::call_buffer(object.value(), operation, {}, word_0, 0, 0, 0, 0, 0, deadline);
}

inline Result<Semaphore> make_semaphore(const Context& test, uint64_t initial = 0) {
    return test.budget().create_semaphore(abi::semaphore_counting, initial, MemoryReference(), 0);
}

}  // namespace annulus::test
