// SPDX-License-Identifier: MIT
// What is performed while something is short.

#include "tests/hostile/allocation/operations.h"

#include "abi/operations.h"

namespace annulus::test::allocation {

namespace {

constexpr uint64_t page = abi::page_size;
constexpr uint64_t memory_pages = 8;
constexpr uint64_t filled_pages = 100;

Result<Semaphore> make_semaphore(BudgetReference budget) {
    return budget.create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0);
}

Result<void> one_page(const World& world) { return world.budget.create_memory(1, 0).status(); }
Result<void> many_pages(const World& world) { return world.budget.create_memory(70, 0).status(); }
Result<void> contiguous(const World& world) {
    return world.budget.create_memory(3, abi::memory_contiguous).status();
}
Result<void> on_demand(const World& world) {
    const auto memory = TRY(world.budget.create_memory(2000, abi::memory_on_demand));
    TRY(memory.set_commit(0, 2 * page));
    TRY(memory.set_commit(1500 * page, 70 * page));
    const uint64_t word = 1;
    return memory.write_bytes(800 * page, std::as_bytes(std::span(&word, 1)));
}
Result<void> range(const World& world) {
    return world.memory.create_range(world.budget, page, 2).status();
}
Result<void> clone(const World& world) {
    const auto clone = TRY(world.filled.create_clone(world.budget, 0, filled_pages));
    const uint64_t word = 1;
    return clone.write_bytes(3 * page, std::as_bytes(std::span(&word, 1)));
}

Result<void> semaphore(const World& world) { return make_semaphore(world.budget).status(); }
Result<void> semaphore_in_memory(const World& world) {
    return world.budget.create_semaphore(abi::semaphore_binary, 0, world.memory, 2 * page).status();
}
Result<void> table(const World& world) {
    return world.budget.create_table(3, 4096, world.memory, 4 * page).status();
}
Result<void> large_table(const World& world) {
    return world.budget.create_table(100, 0, MemoryReference(), 0).status();
}
Result<void> served_object(const World& world) {
    TRY(world.table.create_object(7, abi::all_rights, 0)).close();
    // Its close notice is taken, or it would stay.
    return system::reply_and_wait(world.table.value(), 0, {}, abi::deadline_poll).status;
}
Result<void> timer(const World& world) {
    const auto timer = TRY(world.budget.create_timer(world.semaphore));
    return timer.set_arm(~uint64_t{0} - 1, 0);
}
Result<void> budget(const World& world) {
    return world.budget.create_budget({{1, 1, 512, 16, 1, 1, 1, 1, 1, 1}, 10, 10}).status();
}
Result<void> budget_with_something(const World& world) {
    const auto child =
        TRY(world.budget.create_budget({{20, 20, 8192, 64, 4, 4, 4, 4, 4, 4}, 10, 10}));
    const auto memory = TRY(child.create_memory(3, 0));
    return make_semaphore(child).status();
}
Result<void> process(const World& world) { return world.budget.create_process(200, 0).status(); }
Result<void> process_that_runs(const World& world) {
    const auto made = TRY(SmallProcess::create(world.budget, world.code));
    return made.start(small_exit).status();
}
Result<void> thread(const World& world) { return world.living.start(small_exit).status(); }

Result<void> lease(const World& world) {
    const auto first = TRY(world.semaphore.get_duplicate(1, abi::duplicate_revocable));
    return first.handle.get_duplicate(1, abi::duplicate_revocable).status();
}

Result<void> watch_exit(const World& world) {
    const auto told = TRY(make_semaphore(world.budget));
    TRY(world.living.process().watch_exit(told));
    return world.waiting.watch_exit(told);
}
Result<void> watch_fault(const World& world) {
    const auto told = TRY(make_semaphore(world.budget));
    return world.living.process().watch_fault(told);
}
Result<void> watch_exhausted(const World& world) {
    const auto told = TRY(make_semaphore(world.budget));
    const auto child = TRY(world.budget.create_budget({{}, 10, 10}));
    return child.watch_exhausted(told);
}
Result<void> watch_server_death(const World& world) {
    const auto told = TRY(make_semaphore(world.budget));
    return world.served.watch_server_death(told);
}

// In the caller's own address space: the mapper pays.
Result<void> map(const World& world) {
    const uint64_t size = memory_pages * page;
    const uint64_t address = TRY(world.process.map(world.memory, 0, size, 0, abi::map_read));
    return world.process.map_unmap(address, size);
}
Result<void> unmap_middle(const World& world) {
    const uint64_t size = 3 * page;
    const uint64_t address = TRY(world.process.map(world.memory, 0, size, 0, abi::map_read));
    const auto cut = world.process.map_unmap(address + page, page);
    const auto rest = world.process.map_unmap(address, size);
    return cut.ok() ? rest : cut;
}
Result<void> protect_middle(const World& world) {
    const uint64_t size = 3 * page;
    const uint64_t address =
        TRY(world.process.map(world.memory, 0, size, 0, abi::map_read | abi::map_write));
    const auto narrowed = world.process.map_protect(address + page, page, abi::map_read);
    const auto rest = world.process.map_unmap(address, size);
    return narrowed.ok() ? rest : narrowed;
}

constexpr Operation all[] = {
    {"one page", one_page},
    {"many pages", many_pages},
    {"contiguous memory", contiguous},
    {"memory on demand", on_demand},
    {"range", range},
    {"clone", clone},
    {"semaphore", semaphore},
    {"semaphore in memory", semaphore_in_memory},
    {"table", table},
    {"large table", large_table},
    {"served object", served_object},
    {"timer", timer},
    {"budget", budget},
    {"budget with something", budget_with_something},
    {"process", process},
    {"process that runs", process_that_runs},
    {"thread", thread},
    {"lease", lease},
    {"watch of exits", watch_exit},
    {"watch of faults", watch_fault},
    {"watch of exhaustion", watch_exhausted},
    {"watch of a server's death", watch_server_death},
    {"map", map},
    {"unmap the middle", unmap_middle},
    {"protect the middle", protect_middle},
};

}  // namespace

const std::span<const Operation> operations = all;

Result<World> World::create(const Context& test) {
    World world;
    world.budget = test.budget();
    world.own = own_budget(test);
    world.process = test.process();
    world.code = TRY(make_small_code(world.budget));
    world.memory = TRY(world.budget.create_memory(memory_pages, 0));
    world.filled = TRY(world.budget.create_memory(filled_pages, 0));
    world.semaphore = TRY(make_semaphore(world.budget));
    world.table = TRY(world.budget.create_table(4, 0, MemoryReference(), 0));
    world.served = TRY(world.table.create_object(1, abi::all_rights, 0));
    world.living = TRY(SmallProcess::create(world.budget, world.code, 32));
    TRY(world.living.add_data(world.budget));
    const auto gate = TRY(make_semaphore(world.budget));
    const abi::Handle there = TRY(world.living.lend(gate));
    world.waiting = TRY(world.living.start_call(0, wait_registers(there, abi::deadline_never)));
    return world;
}

}  // namespace annulus::test::allocation
