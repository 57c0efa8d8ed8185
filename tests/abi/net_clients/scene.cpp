// SPDX-License-Identifier: MIT
// Clients that are processes, and the network's account.
#include "tests/abi/net_clients/scene.h"

#include "abi/names.h"
#include "runtime/clock.h"

#include <optional>

namespace annulus::test {

namespace {

std::optional<Renewable<Network>> provided;

// Its heap keeps pages for what comes next, a few more or less after each round.
constexpr uint64_t heap_pages = 16;

// How far one amount is from the other, beyond what the heap explains.
bool same_amount(const abi::BudgetLedger& one, const abi::BudgetLedger& other, unsigned i) {
    const uint64_t slack = i == static_cast<unsigned>(abi::Resource::pages) ? heap_pages : 0;
    return one.used[i] <= other.used[i] + slack && other.used[i] <= one.used[i] + slack;
}

bool same(const abi::BudgetLedger& one, const abi::BudgetLedger& other) {
    for (unsigned i = 0; i < abi::resource_count; i++) {
        if (!same_amount(one, other, i)) return false;
    }
    return one.objects == other.objects;
}

abi::BudgetLedger read_network_ledger(const Context& test) {
    const auto programs = test.environment().handle<Programs>(names::system);
    if (!programs.ok()) return {};
    const auto report = programs->report("net");
    return report.ok() ? report->budget : abi::BudgetLedger{};
}

Result<Budget> client_budget(const Context& test) {
    abi::BudgetLimits limits = {};
    for (uint64_t& each : limits.amount) each = 8;
    amount(limits, abi::Resource::pages) = 1200;
    amount(limits, abi::Resource::reserved_pages) = 600;
    amount(limits, abi::Resource::kernel_bytes) = 1 << 20;
    amount(limits, abi::Resource::handles) = 600;
    amount(limits, abi::Resource::wait_records) = 100;
    amount(limits, abi::Resource::pins) = 600;
    limits.cpu_weight = 100;
    limits.priority_ceiling = 32;
    return test.budget().create_budget(limits);
}

}  // namespace

Network network_of(const Context& test) {
    if (!provided.has_value()) {
        const auto given = test.environment().handle<Served>("net");
        if (!given.ok()) return Network();
        auto made = Renewable<Network>::of(*given);
        if (!made.ok()) return Network();
        provided.emplace(std::move(made).value());
    }
    return provided->object();
}

Result<void> renew_network(const Context& test) {
    static_cast<void>(network_of(test));
    if (!provided.has_value()) return Error::server_died;
    return provided->renew();
}

abi::BudgetLedger network_ledger(const Context& test) {
    abi::BudgetLedger last = read_network_ledger(test);
    for (unsigned i = 0, quiet = 0; i < 500 && quiet < 5; i++) {
        sleep_for(milliseconds(4));
        const abi::BudgetLedger next = read_network_ledger(test);
        quiet = same(last, next) ? quiet + 1 : 0;
        last = next;
    }
    return last;
}

void expect_forgotten(Context& test, const abi::BudgetLedger& before) {
    const auto connections = [&] {
        const auto state = network_of(test).state(soon());
        return state.ok() ? state->connections : ~0u;
    };
    abi::BudgetLedger now = read_network_ledger(test);
    for (unsigned i = 0; i < 1000 && (connections() != 0 || !same(now, before)); i++) {
        sleep_for(milliseconds(4));
        now = read_network_ledger(test);
    }
    EXPECT_EQ(connections(), 0u);
    for (unsigned i = 0; i < abi::resource_count; i++) {
        if (same_amount(now, before, i)) continue;
        test.fail("the network uses {} of {}, {} before", now.used[i], abi::resource_names[i],
                  before.used[i]);
    }
    EXPECT_EQ(now.objects, before.objects);
}

Result<Client> Client::create(Context& test) {
    Budget budget = TRY(client_budget(test));
    const abi::BudgetLedger before = settled_ledger(budget);
    Child child = TRY(Child::create(test.budget(), test.process(), budget, 400));
    Semaphore silent =
        TRY(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    Child::Word* const words = child.words();
    words[network_word] = TRY(child.lend(network_of(test)));
    words[budget_word] = TRY(child.lend(budget));
    words[process_word] = TRY(child.lend(child.process()));
    words[silent_word] = TRY(child.lend(silent));
    const auto clock = TRY(test.environment().handle<Memory>(names::clock));
    words[clock_word] = TRY(child.process().map(clock, 0, abi::page_size, 0, abi::map_read));
    return Client(std::move(budget), before, std::move(child), std::move(silent));
}

Result<void> Client::start(void (*entry)(Child::Word*)) {
    thread_ = TRY(child_.start(entry, 20));
    return {};
}

Result<void> Client::run(void (*entry)(Child::Word*)) {
    TRY(start(entry));
    const Deadline end = soon();
    while (!rests()) {
        if (now() > end.at) return Error::timed_out;
        sleep_for(milliseconds(2));
    }
    return {};
}

void Client::kill(Context& test) {
    EXPECT_OK(child_.kill());
    thread_.close();
}

void Client::expect_all_back(Context& test) const {
    expect_returned(test, budget_, before_, "a killed client");
}

}  // namespace annulus::test
