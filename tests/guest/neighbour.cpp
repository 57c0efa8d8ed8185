// SPDX-License-Identifier: MIT
// What the neighbour does in its own process, and how it is watched.

#include "tests/guest/neighbour.h"

#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/semaphore.h"
#include "tests/guest/ledger.h"
#include "tests/guest/threads.h"

namespace annulus::test {

namespace {

enum Place : unsigned { own_budget_handle, own_process_handle, tick, rounds_done, failed };

constexpr uint64_t checked_pages = 4;
constexpr uint64_t checked_words = checked_pages * abi::page_size / sizeof(uint64_t);

constexpr uint64_t pattern(uint64_t round, uint64_t index) {
    return (index + 1) * 0x9e3779b97f4a7c15 ^ round * 0xbf58476d1ce4e5b9;
}

// Memory that stays mapped from round to round: what was written the last time must still be there.
Result<void> check_memory(volatile uint64_t* words, uint64_t round) {
    for (uint64_t i = 0; i < checked_words; ++i) {
        if (round != 0 && words[i] != pattern(round - 1, i)) {
            return Status(Error::faulted, 0, static_cast<uint32_t>(i));
        }
        words[i] = pattern(round, i);
    }
    return {};
}

Result<void> round_of(const Child::Word* words) {
    const BudgetReference budget(words[own_budget_handle].load());
    const ProcessReference process(words[own_process_handle].load());
    const auto semaphore =
        TRY(budget.create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    TRY(Result<void>(system::signal(semaphore.value())));
    TRY(Result<void>(system::wait(semaphore.value(), 0, abi::deadline_poll).status));
    const auto memory = TRY(budget.create_memory(2, 0));
    const uint64_t address =
        TRY(process.map(memory, 0, 2 * abi::page_size, 0, abi::map_read | abi::map_write));
    // Safety: mapped just now.
    auto* word = reinterpret_cast<volatile uint64_t*>(address);
    *word = address;
    if (*word != address) return Error::faulted;
    TRY(process.map_unmap(address, 2 * abi::page_size));
    TRY(semaphore.get_duplicate(0, abi::duplicate_revocable));
    return {};
}

// The memory that is checked, of the neighbour's own.
Result<volatile uint64_t*> map_checked(const Child::Word* words) {
    const BudgetReference budget(words[own_budget_handle].load());
    const ProcessReference process(words[own_process_handle].load());
    const auto memory = TRY(budget.create_memory(checked_pages, 0));
    const uint64_t address = TRY(
        process.map(memory, 0, checked_pages * abi::page_size, 0, abi::map_read | abi::map_write));
    // Safety: mapped just now, and never unmapped.
    return reinterpret_cast<volatile uint64_t*>(address);
}

void live(Child::Word* words) {
    const auto checked = map_checked(words);
    if (!checked.ok()) words[failed] = checked.status().bits;
    for (uint64_t round = 0;; ++round) {
        static_cast<void>(system::wait(words[tick].load(), 0, abi::deadline_never));
        auto done = round_of(words);
        if (done.ok() && checked.ok()) done = check_memory(*checked, round);
        if (!done.ok()) words[failed] = done.status().bits;
        ++words[rounds_done];
    }
}

}  // namespace

Result<Neighbour> Neighbour::create(const Context& test, unsigned priority) {
    auto budget = TRY(test.budget().create_budget(usual_limits()));
    auto child = TRY(Child::create(test.budget(), test.process(), budget));
    const auto tick_semaphore =
        TRY(test.budget().create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0));
    auto timer = TRY(test.budget().create_timer(tick_semaphore));
    child.words()[own_budget_handle] = TRY(child.lend(budget));
    child.words()[own_process_handle] = TRY(child.lend(child.process()));
    child.words()[tick] = TRY(child.lend(tick_semaphore));
    const auto thread = TRY(child.start(live, priority));
    TRY(timer.set_arm(1, milliseconds(1).nanoseconds));
    return Neighbour(std::move(budget), std::move(child), std::move(timer));
}

uint64_t Neighbour::rounds() const { return child_.words()[rounds_done].load(); }

void Neighbour::expect_progress(Context& test, uint64_t more) const {
    const uint64_t begun = rounds();
    const uint64_t limit = now() + seconds(10).nanoseconds;
    while (rounds() < begun + more && now() < limit) {
        sleep_for(milliseconds(1));
    }
    EXPECT(rounds() >= begun + more);
    const Status status(child_.words()[failed].load());
    if (!status.ok()) {
        test.fail("the neighbour got {} (detail {})", abi::name_of(status.code()), status.detail());
    }
}

}  // namespace annulus::test
