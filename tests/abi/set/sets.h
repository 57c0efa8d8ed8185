// SPDX-License-Identifier: MIT
// Semaphore sets of the tests.
#pragma once

#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/semaphore.h"
#include "tests/guest/harness.h"

namespace annulus::test {

inline Result<Semaphore> make_semaphore(const Context& test, uint64_t mode = 0,
                                        uint64_t initial = 0) {
    return test.budget().create_semaphore(mode, initial, MemoryReference(), 0);
}

struct OneEvent {
    abi::Status status;
    uint64_t key;
    uint64_t value;
};
// One event in registers.
inline OneEvent next_event(abi::Handle set, uint64_t deadline = abi::deadline_poll) {
    const auto answer = system::short_call(abi::SystemCall::wait, set, 0, deadline, 0);
    return {answer.status, answer.rdx, answer.rsi};
}
inline OneEvent next_event(SetReference set, uint64_t deadline = abi::deadline_poll) {
    return next_event(set.value(), deadline);
}
// A deadline that only a broken kernel lets pass.
inline uint64_t soon() { return now() + seconds(10).nanoseconds; }

}  // namespace annulus::test
