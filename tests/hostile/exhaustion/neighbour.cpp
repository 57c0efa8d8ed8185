// SPDX-License-Identifier: MIT
// The process beside the attack.

#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/semaphore.h"
#include "tests/hostile/exhaustion/attack.h"

namespace annulus::test::exhaustion {

namespace {

enum NeighbourPlace : unsigned { own_budget_handle, own_process_handle, tick, rounds_done, failed };

constexpr unsigned neighbour_priority = 30;

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

void live(Child::Word* words) {
    for (;;) {
        static_cast<void>(system::wait(words[tick].load(), 0, abi::deadline_never));
        const auto done = round_of(words);
        if (!done.ok()) words[failed] = done.status().bits;
        ++words[rounds_done];
    }
}

}  // namespace

Result<Neighbour> Neighbour::create(const Context& test) {
    auto limits = usual_limits();
    auto budget = TRY(test.budget().create_budget(limits));
    auto child = TRY(Child::create(test.budget(), test.process(), budget));
    const auto tick_semaphore =
        TRY(test.budget().create_semaphore(abi::semaphore_binary, 0, MemoryReference(), 0));
    auto timer = TRY(test.budget().create_timer(tick_semaphore));
    child.words()[own_budget_handle] = TRY(child.lend(budget));
    child.words()[own_process_handle] = TRY(child.lend(child.process()));
    child.words()[tick] = TRY(child.lend(tick_semaphore));
    const auto thread = TRY(child.start(live, neighbour_priority));
    TRY(timer.set_arm(1, milliseconds(1).nanoseconds));
    return Neighbour(std::move(budget), std::move(child), std::move(timer));
}

void Neighbour::expect_progress(Context& test, uint64_t rounds) const {
    const uint64_t begun = child_.words()[rounds_done].load();
    const uint64_t limit = now() + seconds(10).nanoseconds;
    while (child_.words()[rounds_done].load() < begun + rounds && now() < limit) {
        sleep_for(milliseconds(1));
    }
    EXPECT(child_.words()[rounds_done].load() >= begun + rounds);
    const Status status(child_.words()[failed].load());
    if (!status.ok()) {
        test.fail("the neighbour got {} (detail {})", abi::name_of(status.code()), status.detail());
    }
}

abi::BudgetLimits attacker_limits(abi::Resource resource, uint64_t limit) {
    auto limits = usual_limits();
    amount(limits, resource) = limit;
    limits.priority_ceiling = 20;
    return limits;
}

void destroy(Context& test, BudgetReference budget) {
    const auto done =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    EXPECT_OK(budget.remove_destroy(done));
    EXPECT_OK(wait_for(done, Deadline::after(seconds(20))));
    const auto ledger = MUST(budget.get_ledger());
    for (unsigned i = 0; i < abi::resource_count; ++i) {
        EXPECT_EQ(ledger.used[i] + ledger.lent[i] + ledger.limit[i], 0);
    }
    EXPECT_EQ(ledger.objects, 0);
}

}  // namespace annulus::test::exhaustion
