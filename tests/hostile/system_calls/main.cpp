// SPDX-License-Identifier: MIT
// A million random system calls, made from the descriptions of all operations.

#include "abi/ring.h"
#include "runtime/clock.h"
#include "runtime/semaphore.h"
#include "tests/guest/harness.h"
#include "tests/guest/neighbour.h"
#include "tests/guest/threads.h"
#include "tests/hostile/system_calls/attacker.h"

#include <string.h>

const char* const annulus::test::suite = "system_calls";

namespace annulus::test::cases {
namespace {

constexpr uint64_t calls_wanted = 1'000'000;
constexpr uint64_t calls_of_one = 60'000;
constexpr uint64_t first_seed = 0x5eed;

Result<Budget> small_budget(const Context& test) {
    abi::BudgetLimits limits = {};
    for (uint64_t& amount : limits.amount) amount = 400;
    const auto limit = [&](abi::Resource resource, uint64_t amount) {
        limits.amount[static_cast<unsigned>(resource)] = amount;
    };
    limit(abi::Resource::pages, 3000);
    limit(abi::Resource::reserved_pages, 1000);
    limit(abi::Resource::kernel_bytes, 1 << 20);
    limit(abi::Resource::handles, 8192);
    limit(abi::Resource::threads, 12);
    limits.cpu_weight = 100;
    limits.priority_ceiling = 31;  // below the one who watches
    return test.budget().create_budget(limits);
}

Result<void> start(Child& child, void (*entry)(Child::Word*)) {
    return child.start(entry, 30).status();
}

struct Outcome {
    uint64_t calls = 0;
    uint64_t successes = 0;
};

// Hardware that nobody uses: the second serial port, which the machine does not have.
struct Spare {
    Ports ports;
    Interrupt line;
};
constexpr uint64_t spare_ports = 0x2f8;
constexpr uint64_t spare_port_count = 8;
constexpr uint64_t spare_line = 3;

Result<Spare> take_spare(const Context& test) {
    const auto hardware = TRY(test.environment().handle<Hardware>("hardware"));
    Spare spare;
    spare.ports = TRY(hardware.create_ports(test.budget(), spare_ports, spare_port_count));
    spare.line = TRY(hardware.create_interrupt(test.budget(), spare_line));
    return spare;
}

// Objects that are there once for all, with the rights that can do no harm: of the factory, the
// switch and the kernel's console none that makes, ends or writes something.
Result<void> lend_machine(const Context& test, Child& child, const Spare& spare) {
    attack::Pool pool(child.words());
    constexpr abi::Rights harmless = abi::right_of(abi::Verb::get) | abi::right_of(abi::Verb::read);
    const auto& environment = test.environment();
    pool.add(abi::ObjectType::ports, TRY(child.lend(spare.ports)));
    pool.add(abi::ObjectType::interrupt, TRY(child.lend(spare.line)));
    pool.add(abi::ObjectType::hardware,
             TRY(child.lend(TRY(environment.handle<Hardware>("hardware")), harmless)));
    pool.add(abi::ObjectType::power,
             TRY(child.lend(TRY(environment.handle<Power>(names::power)), harmless)));
    pool.add(abi::ObjectType::console,
             TRY(child.lend(TRY(environment.handle<Console>(names::console)), harmless)));
    return {};
}

// What an attacker begins with: its own budget and process, and one object of each type that it
// may have. Nothing of the parent's but the semaphore `faulted`, which is the parent's loss.
Result<void> equip(Child& child, BudgetReference budget, SemaphoreReference faulted) {
    attack::Pool pool(child.words());
    const auto keep = [&](ObjectReference object, abi::ObjectType type) -> Result<void> {
        pool.add(type, TRY(child.lend(object)));
        return {};
    };
    for (unsigned i = 0; i < 8; ++i) {
        TRY(keep(budget, abi::ObjectType::budget));
        TRY(keep(child.process(), abi::ObjectType::process));
    }
    TRY(child.process().watch_fault(faulted));
    const auto memory = TRY(budget.create_memory(attack::argument_pages, 0));
    TRY(child.process().map(memory, 0, attack::argument_pages * abi::page_size,
                            attack::arguments_at, abi::map_read | abi::map_write | abi::map_fixed));
    TRY(keep(memory, abi::ObjectType::memory));
    const auto blocks = TRY(budget.create_memory(1, 0));
    TRY(keep(blocks, abi::ObjectType::memory));
    for (uint64_t mode = 0; mode < 3; ++mode) {
        TRY(keep(TRY(budget.create_semaphore(mode, 0, MemoryReference(), 0)),
                 abi::ObjectType::semaphore));
        TRY(keep(TRY(budget.create_semaphore(mode, 0, memory, 8 * mode)),
                 abi::ObjectType::semaphore));
    }
    const auto table = TRY(budget.create_table(4, 1024, blocks, 0));
    TRY(keep(table, abi::ObjectType::table));
    TRY(keep(TRY(table.create_object(1, abi::all_rights, 0)), abi::ObjectType::served));
    const auto semaphore =
        TRY(budget.create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    TRY(keep(TRY(budget.create_timer(semaphore)), abi::ObjectType::timer));
    TRY(keep(TRY(budget.create_set(16)), abi::ObjectType::set));
    const auto ends = TRY(budget.create_channel(blocks, 0, abi::page_size, 1, 1));
    TRY(keep(ends.first, abi::ObjectType::channel));
    TRY(keep(ends.second, abi::ObjectType::channel));
    TRY(keep(TRY(budget.create_ring(8, memory, 0, abi::ring_allow_all)), abi::ObjectType::ring));
    return {};
}

// One attacker: two threads that call, one that changes their arguments. Until it has made its
// calls, killed itself or got stuck.
Result<Outcome> attack_once(Context& test, uint64_t seed, const Spare& spare) {
    const auto never =
        TRY(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    const auto done =
        TRY(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    const auto faulted =
        TRY(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    const auto budget = TRY(small_budget(test));
    Outcome outcome;
    {
        auto child = TRY(Child::create(test.budget(), test.process(), budget, 512));
        TRY(equip(child, budget, faulted));
        TRY(lend_machine(test, child, spare));
        child.words()[attack::seed] = seed;
        for (const auto entry :
             {attack::call_at_random, attack::call_at_random, attack::change_arguments}) {
            const auto started = start(child, entry);
            // The first may have ended the process already.
            if (!started.ok() && started.error() != Error::wrong_state) return started.status();
        }
        uint64_t last = 0;
        for (unsigned idle = 0; idle < 150 && last < calls_of_one;) {
            child.words()[attack::soon] = now() + 30'000;
            static_cast<void>(wait_for(never, Deadline::after(microseconds(500))));
            const uint64_t calls = child.words()[attack::calls].load();
            idle = calls == last ? idle + 1 : 0;
            last = calls;
        }
        TRY(budget.remove_destroy(done));
        TRY(wait_for(done, Deadline::after(seconds(60))));
        outcome = {child.words()[attack::calls].load(), child.words()[attack::successes].load()};
    }
    const auto ledger = budget.get_ledger();
    if (ledger.ok()) {
        for (unsigned i = 0; i < abi::resource_count; ++i) EXPECT_EQ(ledger->used[i], 0);
    }
    return outcome;
}

bool same(const abi::BudgetLedger& left, const abi::BudgetLedger& right) {
    return memcmp(left.used, right.used, sizeof(left.used)) == 0 &&
           memcmp(left.lent, right.lent, sizeof(left.lent)) == 0 &&
           left.children == right.children && left.objects == right.objects;
}

}  // namespace
}  // namespace annulus::test::cases

TEST(random_calls, "a million random system calls hurt nobody else, and leave an exact ledger") {
    uint64_t calls = 0;
    uint64_t successes = 0;
    uint64_t attackers = 0;
    uint64_t seed = first_seed;
    const auto spare = MUST(take_spare(test));
    // Above the attackers: that it has its share of the CPUs is not what is tested here.
    const auto neighbour = MUST(Neighbour::create(test, 40));
    static_cast<void>(MUST(attack_once(test, seed, spare)));  // fills the kernel's caches
    neighbour.expect_progress(test);
    const auto before = MUST(test.budget().get_ledger());
    while (calls < calls_wanted && !test.failed()) {
        seed += 0x9e3779b97f4a7c15;
        const Outcome outcome = MUST(attack_once(test, seed, spare));
        neighbour.expect_progress(test, 1);
        calls += outcome.calls;
        successes += outcome.successes;
        if (++attackers % 4 == 0) report_count("so_far", calls);
        if (attackers > 2000) break;
    }
    auto after = MUST(test.budget().get_ledger());
    const uint64_t limit = now() + seconds(10).nanoseconds;
    while (!same(before, after) && now() < limit) after = MUST(test.budget().get_ledger());
    for (unsigned i = 0; i < abi::resource_count; ++i) {
        EXPECT_EQ(after.used[i], before.used[i]);
        EXPECT_EQ(after.lent[i], before.lent[i]);
    }
    EXPECT(same(before, after));
    EXPECT(calls >= calls_wanted);
    EXPECT(successes > calls / 100);
    report_count("calls", calls);
    report_count("successes", successes);
    report_count("attackers", attackers);
    report_count("neighbours_rounds", neighbour.rounds());
}
