// SPDX-License-Identifier: MIT
// Destroying budgets with everything in them.

#include "abi/names.h"
#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/thread.h"
#include "tests/guest/small_process.h"

#include <array>
#include <atomic>

namespace annulus::test::cases {

namespace {

Deadline soon() { return Deadline::after(seconds(20)); }

Result<Semaphore> make_semaphore(BudgetReference budget) {
    return budget.create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0);
}

// One of everything that a budget can pay for, at work. What is kept open in the test's own table
// is part of it: destruction takes it away.
struct World {
    std::array<Semaphore, 4> semaphores;
    std::array<Memory, 5> memories;
    std::array<Timer, 3> timers;
    std::array<SmallProcess, 3> processes;
    std::array<Thread, 10> threads;
    Table table;
    Served served;
    uint64_t mapped = 0;  // in the test's own address space
};

Result<void> add_memory(Context& test, BudgetReference budget, World& world) {
    world.memories[0] = TRY(budget.create_memory(100, 0));
    world.memories[1] = TRY(budget.create_memory(100, abi::memory_on_demand));
    world.memories[2] = TRY(budget.create_memory(4, abi::memory_contiguous));
    world.memories[3] = TRY(world.memories[0].create_range(budget, abi::page_size, 10));
    world.memories[4] = TRY(world.memories[0].create_clone(budget, 0, 50));
    TRY(world.memories[1].set_commit(0, 30 * abi::page_size));
    world.mapped = TRY(test.process().map(world.memories[1], 0, 40 * abi::page_size, 0,
                                          abi::map_read | abi::map_write));
    return {};
}

Result<void> add_events(BudgetReference budget, World& world) {
    for (Semaphore& semaphore : world.semaphores) semaphore = TRY(make_semaphore(budget));
    const auto word = TRY(budget.create_memory(1, 0));
    const auto in_memory = TRY(budget.create_semaphore(abi::semaphore_binary, 0, word, 8));
    for (Timer& timer : world.timers) timer = TRY(budget.create_timer(world.semaphores[3]));
    TRY(world.timers[0].set_arm(Deadline::after(seconds(100)).at, 0));
    TRY(world.timers[1].set_arm(Deadline::after(milliseconds(1)).at, 1'000'000));
    const auto revocable =
        TRY(world.semaphores[0].get_duplicate(abi::all_rights, abi::duplicate_revocable));
    return {};
}

// Threads blocked in every kind of wait, spinning, and stopped by a fault.
Result<void> add_processes(BudgetReference budget, MemoryReference code, World& world) {
    for (unsigned i = 0; i < 3; ++i) {
        world.processes[i] = TRY(SmallProcess::create(budget, code, 32));
        TRY(world.processes[i].add_data(budget));
    }
    world.table = TRY(budget.create_table(4, 0, MemoryReference(), 0));
    world.served = TRY(world.table.create_object(1, abi::all_rights, 0));
    const SmallProcess& waiter = world.processes[0];
    const abi::Handle sleep = TRY(waiter.lend(world.semaphores[0]));
    const abi::WaitEntry entries[2] = {{TRY(waiter.lend(world.semaphores[1])), 0},
                                       {TRY(waiter.lend(world.semaphores[2])), 0}};
    TRY(waiter.write_data(2048, std::as_bytes(std::span(entries))));
    const uint64_t far = Deadline::after(seconds(100)).at;
    const abi::Handle ring = TRY(waiter.lend(world.semaphores[3]));
    world.threads[0] = TRY(waiter.start_call(0, wait_registers(sleep, abi::deadline_never)));
    world.threads[1] = TRY(waiter.start_call(1, wait_registers(sleep, far)));
    world.threads[2] = TRY(waiter.start_call(2, wait_any_registers(small_data + 2048, 2, far)));
    world.threads[3] = TRY(waiter.start_call(3, signal_and_wait_registers(ring, sleep, far)));
    const SmallProcess& client = world.processes[1];
    const abi::Handle object = TRY(client.lend(world.served));
    constexpr uint64_t ask = abi::operation_word(abi::Verb::get, 1);
    for (unsigned i = 0; i < 4; ++i) {
        world.threads[4 + i] = TRY(client.start_call(i, call_registers(object, ask)));
    }
    world.threads[8] = TRY(client.start(small_spin));
    const SmallProcess& broken = world.processes[2];
    TRY(broken.process().watch_fault(world.semaphores[3]));
    TRY(broken.process().watch_exit(world.semaphores[3]));
    world.threads[9] = TRY(broken.start(small_invalid));
    return {};
}

Result<void> populate(Context& test, BudgetReference budget, MemoryReference code, World& world) {
    TRY(add_memory(test, budget, world));
    TRY(add_events(budget, world));
    return add_processes(budget, code, world);
}

void expect_zero(Context& test, BudgetReference budget) {
    const auto ledger = budget.get_ledger();
    if (!ledger.ok()) return test.fail("a destroyed budget has no ledger");
    for (unsigned i = 0; i < abi::resource_count; ++i) {
        if (ledger->used[i] + ledger->lent[i] + ledger->limit[i] != 0) {
            test.fail("{} reads limit {}, used {}, lent {}", abi::resource_names[i],
                      ledger->limit[i], ledger->used[i], ledger->lent[i]);
        }
    }
    EXPECT_EQ(ledger->objects, 0u);
    EXPECT_EQ(ledger->children, 0u);
}

// Destroys it; by the time that is told, the ledger reads zero.
void destroy(Context& test, BudgetReference budget) {
    const auto done = MUST(make_semaphore(test.budget()));
    EXPECT_OK(budget.remove_destroy(done));
    const auto waited = wait_for(done, soon());
    if (!waited.ok()) return test.fail("the destruction does not end");
    expect_zero(test, budget);
    EXPECT_ERROR(wait_for(done, Deadline::poll()), Error::timed_out);
}

}  // namespace

}  // namespace annulus::test::cases

TEST(destroy_empty, "an empty budget is destroyed, and refuses everything from then on") {
    const auto before = settled_ledger(test.budget());
    {
        const auto budget = MUST(test.budget().create_budget(usual_limits()));
        destroy(test, budget);
        EXPECT_ERROR(budget.create_memory(1, 0), Error::wrong_state);
        EXPECT_ERROR(make_semaphore(budget), Error::wrong_state);
        EXPECT_ERROR(budget.create_process(16, 0), Error::wrong_state);
        // Whoever asks again is told at once.
        destroy(test, budget);
    }
    expect_returned(test, test.budget(), before, "the parent");
}

TEST(destroy_world, "a budget with everything in it is destroyed, and its parent is as before") {
    const auto code = MUST(make_small_code(test.budget()));
    const auto before = settled_ledger(test.budget());
    const auto own = settled_ledger(own_budget(test));
    const auto machine = settled_machine(test.budget());
    constexpr unsigned rounds = 20;
    for (unsigned round = 0; round < rounds; ++round) {
        const auto budget = MUST(test.budget().create_budget(usual_limits()));
        World world;
        const auto populated = populate(test, budget, code, world);
        if (!populated.ok()) {
            return test.fail("round {}: {}", round, abi::name_of(populated.error()));
        }
        if (round % 2 == 0) sleep_for(milliseconds(3));
        const auto taken = system::reply_and_wait(world.table.value(), 0, {}, abi::deadline_poll);
        EXPECT(taken.status.ok() || taken.status.code() == Error::timed_out);
        destroy(test, budget);
        // Handles to what died name nothing; those of the test's own table, too.
        EXPECT_ERROR(world.semaphores[0].get_state(), Error::bad_handle);
        EXPECT_ERROR(world.memories[0].get_size(), Error::bad_handle);
        EXPECT_ERROR(world.table.get_state(), Error::bad_handle);
        EXPECT_ERROR(world.processes[0].process().get_state(), Error::bad_handle);
        EXPECT_OK(test.process().map_unmap(world.mapped, 40 * abi::page_size));
        if (test.failed()) return;
    }
    expect_returned(test, test.budget(), before, "the parent", 2 * rounds);
    expect_returned(test, own_budget(test), own, "the caller", 2 * rounds);
    const auto after = settled_machine(test.budget());
    EXPECT(machine.free + machine.kernel_heap - after.free - after.kernel_heap <= 2 * rounds);
    report_count("worlds destroyed", rounds);
}

TEST(destroy_tree, "a tree of budgets, each with everything in it, goes with its top") {
    const auto code = MUST(make_small_code(test.budget()));
    const auto before = settled_ledger(test.budget());
    {
        auto limits = usual_limits();
        for (uint64_t& some : limits.amount) some *= 8;
        const auto top = MUST(test.budget().create_budget(limits));
        for (uint64_t& some : limits.amount) some = some / 8 * 3;
        std::array<Budget, 6> tree;
        for (unsigned i = 0; i < 2; ++i) tree[i] = MUST(top.create_budget(limits));
        for (uint64_t& some : limits.amount) some /= 3;
        for (unsigned i = 2; i < 6; ++i) tree[i] = MUST(tree[i / 4].create_budget(limits));
        std::array<World, 6> worlds;
        for (unsigned i = 0; i < 6; ++i) {
            const auto populated = populate(test, tree[i], code, worlds[i]);
            if (!populated.ok()) {
                return test.fail("world {}: {}", i, abi::name_of(populated.error()));
            }
        }
        sleep_for(milliseconds(2));
        destroy(test, top);
        for (const Budget& one : tree) EXPECT_ERROR(one.get_ledger(), Error::bad_handle);
        for (const World& world : worlds) {
            EXPECT_OK(test.process().map_unmap(world.mapped, 40 * abi::page_size));
        }
    }
    expect_returned(test, test.budget(), before, "the parent", 12);
}

TEST(mapped_survives,
     "memory of a destroyed budget stays where it is mapped, at the mapper's cost") {
    const auto before = settled_ledger(test.budget());
    {
        const auto budget = MUST(test.budget().create_budget(usual_limits()));
        const auto memory = MUST(budget.create_memory(20, 0));
        constexpr uint64_t size = 20 * abi::page_size;
        const uint64_t address =
            MUST(test.process().map(memory, 0, size, 0, abi::map_read | abi::map_write));
        // Safety: mapped just now.
        auto* words = reinterpret_cast<volatile uint64_t*>(address);
        for (unsigned i = 0; i < 20; ++i) words[i * 512] = i + 7;
        const auto lent = settled_ledger(own_budget(test));
        destroy(test, budget);
        for (unsigned i = 0; i < 20; ++i) EXPECT_EQ(words[i * 512] + 0, i + 7);
        words[0] = 1;
        EXPECT_ERROR(memory.get_size(), Error::bad_handle);
        const auto after = settled_ledger(own_budget(test));
        EXPECT_EQ(used(after, abi::Resource::reserved_pages),
                  used(lent, abi::Resource::reserved_pages) - 20);
        EXPECT_EQ(used(after, abi::Resource::pages), used(lent, abi::Resource::pages) + 20);
        EXPECT_OK(test.process().map_unmap(address, size));
    }
    expect_returned(test, test.budget(), before, "after the unmapping", 2);
}

TEST(leases_end, "leases that a destroyed budget paid for end") {
    const auto before = settled_ledger(test.budget());
    {
        const auto budget = MUST(test.budget().create_budget(usual_limits()));
        const auto code = MUST(make_small_code(test.budget()));
        auto process = MUST(SmallProcess::create(budget, code, 32));
        EXPECT_OK(process.add_data(budget));
        const auto semaphore = MUST(make_semaphore(test.budget()));
        const abi::Handle lent = MUST(process.lend(semaphore));
        auto registers = call_registers(lent, duplicate_word, ~uint64_t{0});
        registers.r8 = abi::duplicate_revocable;
        const auto gate = MUST(make_semaphore(test.budget()));
        const abi::Handle blocked = MUST(process.lend(gate));
        const auto holder =
            MUST(process.start_call(0, wait_registers(blocked, abi::deadline_never)));
        for (unsigned i = 1; i < 4; ++i) EXPECT_OK(process.start_call(i, registers));
        for (unsigned i = 0; i < 1000; ++i) {
            if (used(MUST(budget.get_ledger()), abi::Resource::leases) == 3) break;
            sleep_for(milliseconds(1));
        }
        EXPECT_EQ(used(MUST(budget.get_ledger()), abi::Resource::leases), 3u);
        destroy(test, budget);
        EXPECT_OK(semaphore.get_state());
    }
    expect_returned(test, test.budget(), before, "the parent");
}

TEST(destroy_own_done, "a destruction whose semaphore dies with it ends all the same") {
    const auto before = settled_ledger(test.budget());
    {
        const auto budget = MUST(test.budget().create_budget(usual_limits()));
        const auto done = MUST(make_semaphore(budget));
        EXPECT_OK(budget.remove_destroy(done));
        const auto again = MUST(make_semaphore(test.budget()));
        EXPECT_OK(budget.remove_destroy(again));
        EXPECT_OK(wait_for(again, soon()));
        expect_zero(test, budget);
    }
    expect_returned(test, test.budget(), before, "the parent");
}

TEST(own_client, "a caller whose server's budget is destroyed gets server_died, not silence") {
    {
        const auto first = MUST(start_thread([] {}));  // what the runtime keeps for threads
    }
    const auto before = settled_ledger(test.budget());
    {
        const auto budget = MUST(test.budget().create_budget(usual_limits()));
        auto table = MUST(budget.create_table(4, 0, MemoryReference(), 0));
        // Paid by this process, so the object outlives its table.
        const auto served = MUST(table.create_object(1, abi::all_rights, 0));
        std::atomic<uint64_t> status = 0;
        auto client = MUST(start_thread([&] {
            constexpr uint64_t ask = abi::operation_word(abi::Verb::get, 1);
            status = system::call_words(served.value(), ask).status.bits;
        }));
        while (MUST(table.get_state()).queued == 0) sleep_for(milliseconds(1));
        destroy(test, budget);
        EXPECT_OK(client.join());
        EXPECT_EQ(Status(status.load()).code(), Error::server_died);
    }
    expect_returned(test, test.budget(), before, "the parent", 2);
}
