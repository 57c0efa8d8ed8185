// SPDX-License-Identifier: MIT
// The other side of a measured round trip, in a process of its own.
//
// With `table`: answers every request at once. With `mine` and `yours`: waits for a unit of one
// semaphore (or an event of a set) and gives one of the other, in two system calls if there is an
// argument, else in one.
#include "runtime/program.h"
#include "runtime/system_call.h"

using namespace annulus;

namespace {

[[noreturn]] void serve(abi::Handle table) {
    system::Delivery request = system::reply_and_wait(table, 0, {}, abi::deadline_never);
    for (;;) {
        request = system::reply_and_wait(table, request.request, {}, abi::deadline_never);
    }
}

[[noreturn]] void answer_in_two_calls(abi::Handle mine, abi::Handle yours) {
    for (;;) {
        system::wait(mine, 0, abi::deadline_never);
        system::signal(yours);
    }
}

[[noreturn]] void answer_in_one_call(abi::Handle mine, abi::Handle yours) {
    system::wait(mine, 0, abi::deadline_never);
    for (;;) system::signal_and_wait(yours, mine, 0, abi::deadline_never);
}

}  // namespace

Result<void> annulus::program_main(Environment& environment) {
    if (auto table = environment.handle<Table>("table"); table.ok()) serve(table->value());
    const auto mine = TRY(environment.handle<Object>("mine"));
    const auto yours = TRY(environment.handle<Object>("yours"));
    if (environment.argument_count() > 0) answer_in_two_calls(mine.value(), yours.value());
    answer_in_one_call(mine.value(), yours.value());
}
