// SPDX-License-Identifier: MIT
// Budgets: each resource at its limit and one above, children, refusals that are told.

#include "abi/names.h"
#include "abi/operations.h"
#include "runtime/clock.h"
#include "tests/guest/small_process.h"

#include <array>

const char* const annulus::test::suite = "budget";

namespace annulus::test::cases {

namespace {

using abi::Resource;

Status refusal(Resource resource) {
    return Status(Error::no_budget, static_cast<uint16_t>(resource));
}

// A child with plenty of everything but `amount` of one resource.
Result<Budget> with_limit(Context& test, Resource resource, uint64_t limit) {
    auto limits = usual_limits();
    amount(limits, resource) = limit;
    return test.budget().create_budget(limits);
}

Result<Semaphore> make_semaphore(BudgetReference budget) {
    return budget.create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0);
}

Deadline soon() { return Deadline::after(seconds(10)); }

// The refusal left the account as it was.
void expect_unchanged(Context& test, BudgetReference budget, const abi::BudgetLedger& before,
                      Resource resource) {
    expect_returned(test, budget, before, abi::name_of(resource));
}

}  // namespace

}  // namespace annulus::test::cases

TEST(pages_limit, "pages: the last one is granted and one more is refused") {
    const auto budget = MUST(with_limit(test, Resource::pages, 20));
    const auto empty = settled_ledger(budget);
    uint64_t granted = 0;
    while (granted < 21 && budget.create_memory(granted + 1, 0).ok()) ++granted;
    settled_ledger(budget);
    EXPECT(granted >= 18);  // the rest are tables
    const auto memory = MUST(budget.create_memory(granted, 0));
    const auto before = settled_ledger(budget);
    EXPECT_EQ(used(before, Resource::pages), 20u);
    EXPECT(budget.create_memory(1, 0).status() == refusal(Resource::pages));
    expect_unchanged(test, budget, before, Resource::pages);
    EXPECT(used(empty, Resource::pages) == 0);
}

TEST(reserved_limit,
     "reserved pages: mapping others' memory is counted, and unmapping gives back") {
    const auto budget = MUST(with_limit(test, Resource::reserved_pages, 10));
    const auto memory = MUST(test.budget().create_memory(8, 0));
    const auto process = MUST(budget.create_process(16, 0));
    constexpr uint64_t size = 8 * abi::page_size;
    const uint64_t first = MUST(process.map(memory, 0, size, 0, abi::map_read));
    EXPECT_EQ(used(MUST(budget.get_ledger()), Resource::reserved_pages), 8u);
    EXPECT_OK(process.map(memory, 0, 2 * abi::page_size, 0, abi::map_read));
    const auto before = settled_ledger(budget);
    EXPECT(process.map(memory, 0, abi::page_size, 0, abi::map_read).status() ==
           refusal(Resource::reserved_pages));
    expect_unchanged(test, budget, before, Resource::reserved_pages);
    EXPECT_OK(process.map_unmap(first, size));
    for (unsigned i = 0; i < 1000; ++i) {
        if (used(MUST(budget.get_ledger()), Resource::reserved_pages) == 2) break;
        sleep_for(milliseconds(1));
    }
    EXPECT_EQ(used(MUST(budget.get_ledger()), Resource::reserved_pages), 2u);
    EXPECT_OK(process.map(memory, 0, size, 0, abi::map_read));
}

TEST(kernel_bytes_limit, "kernel bytes: objects are made up to the last byte and not beyond") {
    auto one = usual_limits();
    const auto measure = MUST(test.budget().create_budget(one));
    const auto sample = MUST(make_semaphore(measure));
    const uint64_t bytes = used(settled_ledger(measure), Resource::kernel_bytes);
    EXPECT(bytes > 0);
    const auto budget = MUST(with_limit(test, Resource::kernel_bytes, 5 * bytes));
    std::array<Semaphore, 5> semaphores;
    for (Semaphore& semaphore : semaphores) semaphore = MUST(make_semaphore(budget));
    const auto before = settled_ledger(budget);
    EXPECT_EQ(used(before, Resource::kernel_bytes), 5 * bytes);
    EXPECT(make_semaphore(budget).status() == refusal(Resource::kernel_bytes));
    expect_unchanged(test, budget, before, Resource::kernel_bytes);
    const auto less = MUST(with_limit(test, Resource::kernel_bytes, bytes - 1));
    EXPECT(make_semaphore(less).status() == refusal(Resource::kernel_bytes));
}

TEST(handles_limit, "handles: a process's slots are counted when it is made") {
    const auto budget = MUST(with_limit(test, Resource::handles, 48));
    const auto first = MUST(budget.create_process(32, 0));
    const auto before = settled_ledger(budget);
    EXPECT(budget.create_process(17, 0).status() == refusal(Resource::handles));
    expect_unchanged(test, budget, before, Resource::handles);
    EXPECT_OK(budget.create_process(16, 0));
}

TEST(slots_limit, "slots: a table's requests are counted when it is made") {
    const auto budget = MUST(with_limit(test, Resource::slots, 8));
    const auto first = MUST(budget.create_table(5, 0, MemoryReference(), 0));
    const auto before = settled_ledger(budget);
    EXPECT(budget.create_table(4, 0, MemoryReference(), 0).status() == refusal(Resource::slots));
    expect_unchanged(test, budget, before, Resource::slots);
    EXPECT_OK(budget.create_table(3, 0, MemoryReference(), 0));
}

TEST(pins_limit, "pins: pages of tables and semaphores are counted") {
    const auto budget = MUST(with_limit(test, Resource::pins, 2));
    const auto memory = MUST(test.budget().create_memory(4, 0));
    const auto first = MUST(budget.create_semaphore(abi::semaphore_counting, 0, memory, 0));
    const auto second =
        MUST(budget.create_semaphore(abi::semaphore_counting, 0, memory, abi::page_size));
    const auto before = settled_ledger(budget);
    EXPECT(
        budget.create_semaphore(abi::semaphore_counting, 0, memory, 2 * abi::page_size).status() ==
        refusal(Resource::pins));
    EXPECT(budget.create_table(1, 4096, memory, 2 * abi::page_size).status() ==
           refusal(Resource::pins));
    expect_unchanged(test, budget, before, Resource::pins);
    EXPECT_EQ(used(before, Resource::pins), 2u);
}

TEST(timers_limit, "timers: the last one is granted and one more is refused") {
    const auto budget = MUST(with_limit(test, Resource::timers, 2));
    const auto semaphore = MUST(make_semaphore(test.budget()));
    const auto first = MUST(budget.create_timer(semaphore));
    const auto second = MUST(budget.create_timer(semaphore));
    const auto before = settled_ledger(budget);
    EXPECT(budget.create_timer(semaphore).status() == refusal(Resource::timers));
    expect_unchanged(test, budget, before, Resource::timers);
}

TEST(threads_limit, "threads: the process's budget pays; the last one is granted and no more") {
    const auto budget = MUST(with_limit(test, Resource::threads, 2));
    const auto code = MUST(make_small_code(test.budget()));
    const auto process = MUST(SmallProcess::create(budget, code));
    const auto first = MUST(process.start(small_spin));
    const auto second = MUST(process.start(small_spin));
    const auto before = settled_ledger(budget);
    EXPECT(process.start(small_spin).status() == refusal(Resource::threads));
    expect_unchanged(test, budget, before, Resource::threads);
    EXPECT_OK(first.remove_kill(0));
    EXPECT_OK(process.process().remove_kill(0));
}

// Wait records and leases are charged to the caller's own budget, so a process of the budget asks.
TEST(callers_limits, "watches and leases: the caller pays; the last one is granted and no more") {
    const auto semaphore = MUST(make_semaphore(test.budget()));
    const auto code = MUST(make_small_code(test.budget()));
    for (const Resource resource : {Resource::wait_records, Resource::leases}) {
        const auto budget = MUST(with_limit(test, resource, 1));
        const auto process = MUST(SmallProcess::create(budget, code, 32));
        SmallProcess caller = MUST(SmallProcess::create(budget, code, 32));
        EXPECT_OK(caller.add_data(budget));
        const abi::Handle told = MUST(caller.lend(semaphore));
        const abi::Handle watched = MUST(caller.lend(process.process()));
        const auto gate = MUST(make_semaphore(test.budget()));
        const abi::Handle blocked = MUST(caller.lend(gate));
        const auto holder =
            MUST(caller.start_call(0, wait_registers(blocked, abi::deadline_never)));
        auto registers =
            resource == Resource::leases
                ? call_registers(told, duplicate_word, ~uint64_t{0})
                : call_registers(watched, abi::operation_word(abi::Verb::watch, 0), told);
        if (resource == Resource::leases) registers.r8 = abi::duplicate_revocable;
        uint64_t codes[2] = {};
        for (unsigned i = 0; i < 2; ++i) {
            const auto ended = MUST(make_semaphore(test.budget()));
            const auto thread = MUST(caller.start_call(1 + i, registers));
            EXPECT_OK(thread.watch_exit(ended));
            EXPECT_OK(wait_for(ended, soon()));
            codes[i] = MUST(thread.get_state()).exit_code;
        }
        EXPECT_EQ(codes[0], 0u);
        EXPECT(Status(codes[1]) == refusal(resource));
        EXPECT_EQ(used(MUST(budget.get_ledger()), resource), 1u);
        EXPECT_OK(caller.process().remove_kill(0));
    }
}

TEST(child_reserves, "a child's limits are taken from its parent and come back with its end") {
    const auto before = settled_ledger(test.budget());
    {
        const auto parent = MUST(test.budget().create_budget(usual_limits()));
        auto limits = usual_limits();
        for (unsigned i = 0; i < abi::resource_count; ++i) limits.amount[i] /= 4;
        const auto empty = settled_ledger(parent);
        {
            const auto child = MUST(parent.create_budget(limits));
            const auto during = settled_ledger(parent);
            for (unsigned i = 0; i < abi::resource_count; ++i) {
                EXPECT_EQ(during.lent[i], limits.amount[i]);
            }
            EXPECT_EQ(during.children, 1u);
            const auto ledger = settled_ledger(child);
            for (unsigned i = 0; i < abi::resource_count; ++i) {
                EXPECT_EQ(ledger.limit[i], limits.amount[i]);
                EXPECT_EQ(ledger.used[i] + ledger.lent[i], 0u);
            }
            EXPECT_EQ(ledger.cpu_weight, limits.cpu_weight);
            EXPECT_EQ(ledger.priority_ceiling, limits.priority_ceiling);
        }
        expect_returned(test, parent, empty, "the parent");
    }
    expect_returned(test, test.budget(), before, "the root");
}

TEST(child_limits, "each resource of a child: all that the parent has left, and not one more") {
    const auto parent = MUST(test.budget().create_budget(usual_limits()));
    const auto before = settled_ledger(parent);
    for (unsigned i = 0; i < abi::resource_count; ++i) {
        abi::BudgetLimits limits = {};
        limits.cpu_weight = 100;
        const auto resource = static_cast<Resource>(i);
        const uint64_t left = before.limit[i] - before.used[i];
        limits.amount[i] = left + 1;
        EXPECT(parent.create_budget(limits).status() == refusal(resource));
        limits.amount[i] = ~uint64_t{0};
        EXPECT(parent.create_budget(limits).status() == refusal(resource));
        expect_returned(test, parent, before, abi::name_of(resource));
        // Its record is paid by the parent, too.
        limits.amount[i] = resource == Resource::kernel_bytes ? left / 2 : left;
        auto child = parent.create_budget(limits);
        EXPECT_OK(child);
        if (child.ok()) child->close();
        expect_returned(test, parent, before, abi::name_of(resource));
    }
}

TEST(child_operands, "a child's CPU weight and priority ceiling are within the parent's") {
    const auto parent = MUST(test.budget().create_budget(usual_limits()));
    abi::BudgetLimits limits = {};
    struct Case {
        uint32_t weight, ceiling;
        bool good;
    };
    // A weight of cpu_weight_max, and of cpu_weight_max + 1; the parent's ceiling is 40.
    constexpr Case cases[] = {{0, 0, false},    {1, 0, true},     {1000, 40, true},
                              {1001, 0, false}, {100, 41, false}, {100, 64, false},
                              {~0u, 0, false},  {100, ~0u, false}};
    for (const Case& one : cases) {
        limits.cpu_weight = one.weight;
        limits.priority_ceiling = one.ceiling;
        const auto made = parent.create_budget(limits);
        EXPECT_EQ(made.error(), one.good ? Error::ok : Error::bad_argument);
    }
    // The root's ceiling is the highest priority there is.
    limits.cpu_weight = 1;
    limits.priority_ceiling = abi::priority_count - 1;
    EXPECT_OK(test.budget().create_budget(limits));
    limits.priority_ceiling = abi::priority_count;
    EXPECT_ERROR(test.budget().create_budget(limits), Error::bad_argument);
    // A record that is cut short.
    constexpr uint64_t create = abi::operation_word(abi::Verb::create, 4) | abi::call_takes_handles;
    limits.cpu_weight = 100;
    system::Buffer buffer = {&limits, sizeof(limits) - 1, 0};
    EXPECT_ERROR(system::call_buffer(parent.value(), create, buffer).status, Error::bad_argument);
    buffer.bytes_in = 0;
    EXPECT_ERROR(system::call_buffer(parent.value(), create, buffer).status, Error::bad_argument);
    buffer = {nullptr, sizeof(limits), 0};
    EXPECT_ERROR(system::call_buffer(parent.value(), create, buffer).status, Error::bad_address);
}

TEST(priority_ceiling, "threads of a budget have its ceiling as their highest priority") {
    auto limits = usual_limits();
    limits.priority_ceiling = 7;
    const auto budget = MUST(test.budget().create_budget(limits));
    const auto code = MUST(make_small_code(test.budget()));
    const auto process = MUST(SmallProcess::create(budget, code));
    EXPECT(process.start(small_spin, 0, 8).status() == Status(Error::bad_argument, 4));
    const auto thread = MUST(process.start(small_spin, 0, 7));
    EXPECT(thread.set_priority(8).status() == Status(Error::bad_argument, 0));
    EXPECT_OK(thread.set_priority(0));
    EXPECT_OK(thread.set_priority(7));
    EXPECT_EQ(MUST(thread.get_state()).priority, 7u);
    EXPECT_OK(process.process().remove_kill(0));
}

TEST(depth, "budgets nest to the named depth, and one deeper answers too_deep") {
    const auto before = settled_ledger(test.budget());
    {
        std::array<Budget, abi::budget_depth_max - 1> chain;  // the root is the first
        BudgetReference above = test.budget();
        auto limits = usual_limits();
        for (Budget& one : chain) {
            for (uint64_t& some : limits.amount) some = some * 3 / 4;
            one = MUST(above.create_budget(limits));
            above = one;
        }
        const auto deepest = settled_ledger(above);
        limits = {};
        limits.cpu_weight = 1;
        // It would be number budget_depth_max + 1.
        EXPECT_ERROR(above.create_budget(limits), Error::too_deep);
        expect_returned(test, above, deepest, "the deepest");
        // Those above may go first: what is below holds them.
        for (Budget& one : chain) one.close();
    }
    expect_returned(test, test.budget(), before, "the root");
}

TEST(exhausted, "a refusal is told to the watcher; there is one") {
    const auto budget = MUST(with_limit(test, Resource::timers, 0));
    const auto told = MUST(make_semaphore(test.budget()));
    EXPECT_OK(budget.watch_exhausted(told));
    EXPECT_ERROR(budget.watch_exhausted(told), Error::busy);
    EXPECT_ERROR(wait_for(told, Deadline::after(milliseconds(5))), Error::timed_out);
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_ERROR(budget.create_timer(told), Error::no_budget);
        EXPECT_OK(wait_for(told, soon()));
    }
    // What fails for other reasons is no refusal.
    EXPECT_ERROR(budget.create_memory(0, 0), Error::bad_argument);
    EXPECT_ERROR(wait_for(told, Deadline::after(milliseconds(5))), Error::timed_out);
}

TEST(machine, "the machine's account is the root's alone, and adds up") {
    const auto child = MUST(test.budget().create_budget(usual_limits()));
    EXPECT_ERROR(child.get_machine(), Error::wrong_state);
    const auto machine = settled_machine(test.budget());
    const auto root = settled_ledger(test.budget());
    EXPECT(machine.free > 0);
    EXPECT(machine.free + machine.kernel_heap < machine.total);
    const auto pages = static_cast<unsigned>(Resource::pages);
    EXPECT_EQ(machine.charged, root.used[pages] + root.lent[pages]);
    EXPECT(machine.cpus >= 1);
    const auto memory = MUST(test.budget().create_memory(100, 0));
    const auto after = settled_machine(test.budget());
    EXPECT_EQ(machine.free - after.free, after.charged - machine.charged);
}

TEST(root_stays, "the root budget cannot be destroyed") {
    EXPECT_ERROR(test.budget().remove_destroy(SemaphoreReference()), Error::wrong_state);
}
