// SPDX-License-Identifier: MIT
// Attackers that take everything their budget gives, one resource at a time: each is told clearly,
// its neighbour goes on, and all of it comes back.

#include "abi/names.h"
#include "abi/operations.h"
#include "runtime/semaphore.h"
#include "tests/guest/small_process.h"
#include "tests/hostile/exhaustion/attack.h"

const char* const annulus::test::suite = "exhaustion";

namespace annulus::test::cases {
namespace {

using namespace exhaustion;
using abi::Resource;

struct Attack {
    Attempt attempt;
    Resource resource;  // that is limited
    uint64_t limit;
    Status refusal;
    uint64_t taken_min;  // what it gets at least
};

Status refused(Resource resource) {
    return Status(Error::no_budget, static_cast<uint16_t>(resource));
}

constexpr unsigned attacker_priority = 10;

Result<void> equip(const Context& test, Child& child, BudgetReference budget,
                   SemaphoreReference told) {
    const auto pages = TRY(test.budget().create_memory(pages_of_memory, 0));
    const auto programs = TRY(make_small_code(test.budget()));
    const auto idle =
        TRY(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    const auto shut =
        TRY(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    Child::Word* words = child.words();
    words[exhaustion::budget] = TRY(child.lend(budget));
    words[process] = TRY(child.lend(child.process()));
    words[semaphore] = TRY(child.lend(idle));
    words[memory] = TRY(child.lend(pages));
    words[code] = TRY(child.lend(programs));
    words[gate] = TRY(child.lend(shut));
    words[exhaustion::told] = TRY(child.lend(told));
    return {};
}

void run(Context& test, const Attack& attack) {
    const auto neighbour = MUST(Neighbour::create(test));
    neighbour.expect_progress(test, 1);
    {
        const auto budget =
            MUST(test.budget().create_budget(attacker_limits(attack.resource, attack.limit)));
        const auto told =
            MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
        auto child = MUST(Child::create(test.budget(), test.process(), budget, 1024));
        const auto equipped = equip(test, child, budget, told);
        EXPECT_OK(equipped);
        // Safety: the child has the same functions at the same addresses.
        child.words()[attempt] = reinterpret_cast<uint64_t>(attack.attempt);
        EXPECT_OK(child.start(take_all, attacker_priority));
        EXPECT_OK(wait_for(told, Deadline::after(seconds(20))));
        const Status first(child.words()[refusal].load());
        const Status second(child.words()[again].load());
        EXPECT_EQ(first.code(), attack.refusal.code());
        EXPECT_EQ(first.detail(), attack.refusal.detail());
        EXPECT_EQ(second.bits, first.bits);
        EXPECT(child.words()[taken].load() >= attack.taken_min);
        neighbour.expect_progress(test);
        destroy(test, budget);
        neighbour.expect_progress(test);
    }
}

// Twice: the first time, the runtime and the kernel's caches take what they need.
void attack(Context& test, const Attack& one) {
    static bool warm = false;
    if (!warm) run(test, one);
    warm = true;
    const auto before = settled_ledger(test.budget());
    const auto own = settled_ledger(own_budget(test));
    run(test, one);
    expect_returned(test, test.budget(), before, "the payer", 4);
    expect_returned(test, own_budget(test), own, "the parent's own", 4);
}

}  // namespace
}  // namespace annulus::test::cases

TEST(handles, "who fills its handle table gets no_room, and nobody else notices") {
    attack(test, {take_handle, Resource::handles, 2048, Error::no_room, 900});
}

TEST(pages, "who takes pages until none is left gets no_budget, and all come back") {
    attack(test, {take_page, Resource::pages, 600, refused(Resource::pages), 100});
}

TEST(touched_pages, "pages on demand are refused like others, one by one") {
    attack(test, {take_page_by_touch, Resource::pages, 600, refused(Resource::pages), 400});
}

TEST(kernel_bytes, "objects are made until kernel bytes run out, and all come back") {
    attack(test,
           {take_semaphore, Resource::kernel_bytes, 96 << 10, refused(Resource::kernel_bytes), 50});
}

TEST(slots, "tables are made until slots run out, and all come back") {
    attack(test, {take_slot, Resource::slots, 128, refused(Resource::slots), 32});
}

TEST(wait_records, "watches are added until wait records run out, and all come back") {
    attack(test, {take_watch, Resource::wait_records, 200, refused(Resource::wait_records), 199});
}

TEST(pins, "pages are pinned until pins run out, and all come back") {
    attack(test, {take_pin, Resource::pins, 40, refused(Resource::pins), 40});
}

TEST(timers, "timers fire by the hundred until timers run out, and all come back") {
    attack(test, {take_timer, Resource::timers, 128, refused(Resource::timers), 128});
}

TEST(threads, "threads that spin are made until threads run out, and all come back") {
    attack(test, {take_thread, Resource::threads, 40, refused(Resource::threads), 39});
}

TEST(processes, "processes are made until handles run out, and all come back") {
    attack(test, {take_process, Resource::handles, 1024 + 20 * 16, refused(Resource::handles), 20});
}

TEST(fork_bomb, "processes that spin are made until something runs out, and all come back") {
    attack(test, {take_spinning_process, Resource::threads, 60, refused(Resource::threads), 59});
}

TEST(leases, "leases are made until leases run out, and all come back") {
    attack(test, {take_lease, Resource::leases, 200, refused(Resource::leases), 200});
}

TEST(mappings, "others' memory is mapped until reserved pages run out, and all comes back") {
    attack(test,
           {take_mapping, Resource::reserved_pages, 400, refused(Resource::reserved_pages), 200});
}

TEST(regions, "memory is mapped until kernel bytes run out, and all comes back") {
    attack(test,
           {take_mapping, Resource::kernel_bytes, 64 << 10, refused(Resource::kernel_bytes), 50});
}

TEST(budgets, "child budgets are made until kernel bytes run out, and all come back") {
    attack(test,
           {take_budget, Resource::kernel_bytes, 96 << 10, refused(Resource::kernel_bytes), 10});
}

TEST(deep_budgets, "budgets one below the other end at the depth limit, and all come back") {
    attack(test, {take_deeper_budget, Resource::leases, 1, Error::too_deep, 10});
}

TEST(served_objects, "served objects are made until kernel bytes run out, and all come back") {
    attack(test, {take_served_object, Resource::kernel_bytes, 96 << 10,
                  refused(Resource::kernel_bytes), 50});
}
