// SPDX-License-Identifier: MIT
// What the attacks on resources share: the attacker, a process that takes until it is refused.
// Beside it lives a neighbour (tests/guest/neighbour.h), which must not notice.
#pragma once

#include "tests/guest/child.h"
#include "tests/guest/ledger.h"
#include "tests/guest/neighbour.h"

namespace annulus::test::exhaustion {

// Words that an attacker shares with its parent.
enum Place : unsigned {
    attempt,  // in: the Attempt
    budget,   // in: handles of the child
    process,
    semaphore,
    memory,   // of pages_of_memory pages
    code,     // the small programs
    gate,     // a semaphore that nobody signals
    told,     // out: a semaphore that is signalled when `refusal` is there
    taken,    // out: how often it succeeded
    refusal,  // out: the status that ended it
    again,    // out: the status of one more attempt
    scratch,  // the attempt's own
};

inline constexpr uint64_t pages_of_memory = 64;

// Takes one more of something, in the attacker's process.
using Attempt = Result<void> (*)(Child::Word* words);

Result<void> take_handle(Child::Word* words);
Result<void> take_page(Child::Word* words);
Result<void> take_page_by_touch(Child::Word* words);
Result<void> take_semaphore(Child::Word* words);
Result<void> take_slot(Child::Word* words);
Result<void> take_watch(Child::Word* words);
Result<void> take_pin(Child::Word* words);
Result<void> take_timer(Child::Word* words);
Result<void> take_thread(Child::Word* words);
Result<void> take_process(Child::Word* words);
Result<void> take_spinning_process(Child::Word* words);
Result<void> take_lease(Child::Word* words);
Result<void> take_mapping(Child::Word* words);
Result<void> take_budget(Child::Word* words);
Result<void> take_deeper_budget(Child::Word* words);
Result<void> take_served_object(Child::Word* words);

// Does the attempt of words[attempt] until it fails, says how, and keeps everything.
void take_all(Child::Word* words);

// usual_limits() with one resource limited; below the neighbour's priority.
abi::BudgetLimits attacker_limits(abi::Resource resource, uint64_t limit);

// Destroys a budget; its ledger reads zero then.
void destroy(Context& test, BudgetReference budget);

}  // namespace annulus::test::exhaustion
