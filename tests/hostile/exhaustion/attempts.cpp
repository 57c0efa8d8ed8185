// SPDX-License-Identifier: MIT
// The attacker's side: taking one thing after the other, and keeping it.

#include "abi/operations.h"
#include "tests/guest/small_process.h"
#include "tests/hostile/exhaustion/attack.h"

namespace annulus::test::exhaustion {

namespace {

template <typename Reference>
Reference object_in(const Child::Word* words, Place place) {
    return Reference(words[place].load());
}
BudgetReference budget_of(const Child::Word* words) {
    return object_in<BudgetReference>(words, budget);
}

// The handle stays open.
template <typename T>
Result<void> keep(Result<T> made) {
    if (!made.ok()) return made.status();
    static_cast<void>(made->release());
    return {};
}

constexpr unsigned thread_priority = 5;

}  // namespace

Result<void> take_handle(Child::Word* words) {
    auto made = TRY(object_in<SemaphoreReference>(words, semaphore).get_duplicate(0, 0));
    static_cast<void>(made.handle.release());
    return {};
}

Result<void> take_page(Child::Word* words) { return keep(budget_of(words).create_memory(1, 0)); }

Result<void> take_page_by_touch(Child::Word* words) {
    constexpr uint64_t size = 4096 * abi::page_size;
    if (words[scratch].load() == 0) {
        auto made = TRY(budget_of(words).create_memory(4096, abi::memory_on_demand));
        words[scratch] = made.release();
    }
    const auto pages = object_in<MemoryReference>(words, scratch);
    const uint64_t offset = words[taken].load() * abi::page_size;
    return offset < size ? pages.set_commit(offset, abi::page_size) : Error::limit;
}

Result<void> take_semaphore(Child::Word* words) {
    return keep(
        budget_of(words).create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
}

Result<void> take_slot(Child::Word* words) {
    return keep(budget_of(words).create_table(4, 0, MemoryReference(), 0));
}

Result<void> take_watch(Child::Word* words) {
    return object_in<ProcessReference>(words, process)
        .watch_exit(object_in<SemaphoreReference>(words, semaphore));
}

Result<void> take_pin(Child::Word* words) {
    const auto pages = object_in<MemoryReference>(words, memory);
    const uint64_t offset = words[taken].load() * abi::page_size;
    return keep(budget_of(words).create_semaphore(abi::semaphore_counting, 0, pages, offset));
}

Result<void> take_timer(Child::Word* words) {
    auto timer =
        TRY(budget_of(words).create_timer(object_in<SemaphoreReference>(words, semaphore)));
    TRY(timer.set_arm(1, abi::timer_period_min_ns * 50));
    static_cast<void>(timer.release());
    return {};
}

// Each spins in the small programs' code.
Result<void> take_thread(Child::Word* words) {
    const auto own = object_in<ProcessReference>(words, process);
    if (words[scratch].load() == 0) {
        words[scratch] = TRY(own.map(object_in<MemoryReference>(words, code), 0, abi::page_size, 0,
                                     abi::map_read | abi::map_execute));
    }
    const uint64_t entry = words[scratch].load() + (small_address(small_spin) - small_code);
    return keep(own.create_thread(entry, 0, 0, 0, thread_priority, 0));
}

Result<void> take_process(Child::Word* words) {
    return keep(budget_of(words).create_process(16, 0));
}

Result<void> take_spinning_process(Child::Word* words) {
    auto made = TRY(budget_of(words).create_process(16, 0));
    TRY(made.map(object_in<MemoryReference>(words, code), 0, abi::page_size, small_code,
                 abi::map_read | abi::map_execute | abi::map_fixed));
    TRY(keep(made.create_thread(small_address(small_spin), 0, 0, 0, thread_priority, 0)));
    static_cast<void>(made.release());
    return {};
}

Result<void> take_lease(Child::Word* words) {
    auto made = TRY(
        object_in<SemaphoreReference>(words, semaphore).get_duplicate(0, abi::duplicate_revocable));
    static_cast<void>(made.handle.release());
    return {};
}

Result<void> take_mapping(Child::Word* words) {
    return object_in<ProcessReference>(words, process)
        .map(object_in<MemoryReference>(words, memory), 0, abi::page_size, 0, abi::map_read)
        .status();
}

Result<void> take_budget(Child::Word* words) {
    abi::BudgetLimits limits = {};
    limits.cpu_weight = 1;
    return keep(budget_of(words).create_budget(limits));
}

Result<void> take_deeper_budget(Child::Word* words) {
    abi::BudgetLimits limits = {};
    limits.cpu_weight = 1;
    const uint64_t depth = words[taken].load();
    amount(limits, abi::Resource::kernel_bytes) = (40 - depth) * 8192;
    const uint64_t above = words[scratch].load();
    const auto parent = above == 0 ? budget_of(words) : BudgetReference(above);
    auto made = TRY(parent.create_budget(limits));
    words[scratch] = made.release();
    return {};
}

Result<void> take_served_object(Child::Word* words) {
    if (words[scratch].load() == 0) {
        auto made = TRY(budget_of(words).create_table(4, 0, MemoryReference(), 0));
        words[scratch] = made.release();
    }
    return keep(object_in<TableReference>(words, scratch).create_object(1, 0, 0));
}

void take_all(Child::Word* words) {
    // Safety: the parent's image and this one are the same, at the same addresses.
    const auto one = reinterpret_cast<Attempt>(words[attempt].load());
    Result<void> result;
    while ((result = one(words)).ok()) ++words[taken];
    words[refusal] = result.status().bits;
    words[again] = one(words).status().bits;
    static_cast<void>(system::signal(words[told].load()));
    static_cast<void>(system::wait(words[gate].load(), 0, abi::deadline_never));
}

}  // namespace annulus::test::exhaustion
