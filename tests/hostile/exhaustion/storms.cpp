// SPDX-License-Identifier: MIT
// Attacks by doing nothing, or too much: revoking very many leases, storms of wake-ups, servers
// that never answer and clients that never take their answers.

#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/semaphore.h"
#include "runtime/thread.h"
#include "tests/guest/threads.h"
#include "tests/hostile/exhaustion/attack.h"

#include <atomic>

namespace annulus::test::cases {
namespace {

using namespace exhaustion;
using abi::Resource;

Result<Semaphore> make_semaphore(BudgetReference budget, uint64_t mode = abi::semaphore_counting) {
    return budget.create_semaphore(mode, 0, MemoryReference(), 0);
}

Deadline soon() { return Deadline::after(seconds(20)); }

// --- leases
constexpr uint64_t descendants = 30'000;

// One lease, very many below it, and the end of the first.
void lease_and_revoke(Child::Word* words) {
    const SemaphoreReference object(words[semaphore].load());
    auto first = object.get_duplicate(0, abi::duplicate_revocable);
    Status status = first.status();
    for (; status.ok() && words[taken].load() < descendants; ++words[taken]) {
        auto next = first->handle.get_duplicate(0, abi::duplicate_revocable);
        status = next.status();
        if (!status.ok()) break;
        words[scratch] = next->handle.release();
    }
    if (status.ok()) status = object.close_revoke(first->lease).status();
    words[refusal] = status.bits;
    // The last of them is revoked in its turn.
    const ObjectReference last(words[scratch].load());
    while (last.get_info().ok()) {
    }
    words[again] = last.get_info().status().bits;
    static_cast<void>(system::signal(words[told].load()));
    static_cast<void>(system::wait(words[gate].load(), 0, abi::deadline_never));
}

// --- wake-ups
void wait_for_ever(Child::Word* words) {
    for (uint64_t seen = 0;;) seen = system::wait(words[semaphore].load(), seen, ~0ULL).value;
}
void signal_for_ever(Child::Word* words) {
    for (;; ++words[taken]) static_cast<void>(system::signal(words[semaphore].load()));
}

// --- servers and clients
enum ServicePlace : unsigned {
    table_handle,
    object_handle,
    deadline_at,
    calls_ended,
    statuses = 20
};

void take_for_ever(Child::Word* words) {
    for (;;) {
        static_cast<void>(system::reply_and_wait(words[table_handle].load(), 0, {}, ~0ULL));
    }
}

constexpr uint64_t read_word = abi::operation_word(abi::Verb::read, 0);
constexpr unsigned answer_bytes = 512;

// An object that this process pays for: it is the client.
void make_object(Child::Word* words) {
    const TableReference table(words[table_handle].load());
    auto made = table.create_object(1, abi::all_rights, 0);
    if (made.ok()) words[object_handle] = made->release();
    static_cast<void>(system::signal(words[told].load()));
    static_cast<void>(system::wait(words[gate].load(), 0, abi::deadline_never));
}

void call_once(Child::Word* words) {
    std::byte answer[answer_bytes];
    const auto called = system::call_buffer(words[object_handle].load(), read_word,
                                            system::buffer_out(std::span(answer)), 0, 0, 0, 0, 0, 0,
                                            words[deadline_at].load());
    words[statuses + words[calls_ended].fetch_add(1)] = called.status.bits;
}

void spin(Child::Word*) {
    for (;;) {
    }
}

// A process with an object of the table that it pays for itself.
Result<void> become_client(const Context& test, Child& child, TableReference table) {
    const auto shut = TRY(make_semaphore(test.budget()));
    const auto ready = TRY(make_semaphore(test.budget()));
    child.words()[gate] = TRY(child.lend(shut));
    child.words()[told] = TRY(child.lend(ready));
    child.words()[table_handle] = TRY(child.lend(table, abi::right_of(abi::Verb::create)));
    const auto thread = TRY(child.start(make_object, 20));
    TRY(wait_for(ready, soon()));
    return child.words()[object_handle].load() != 0 ? Result<void>() : Error::not_granted;
}

void expect_ledgers(Context& test, void (*attack)(Context&)) {
    attack(test);
    const auto before = settled_ledger(test.budget());
    const auto own = settled_ledger(own_budget(test));
    attack(test);
    expect_returned(test, test.budget(), before, "the payer", 4);
    expect_returned(test, own_budget(test), own, "the parent's own", 4);
}

void revoke_many_once(Context& test) {
    const auto neighbour = MUST(Neighbour::create(test));
    auto limits = attacker_limits(Resource::leases, descendants + 1);
    amount(limits, Resource::handles) = 65536;
    amount(limits, Resource::kernel_bytes) = 9 << 20;
    const auto budget = MUST(test.budget().create_budget(limits));
    auto child = MUST(Child::create(test.budget(), test.process(), budget, descendants + 64));
    const auto object = MUST(make_semaphore(test.budget()));
    const auto shut = MUST(make_semaphore(test.budget()));
    const auto ready = MUST(make_semaphore(test.budget()));
    child.words()[semaphore] = MUST(child.lend(object));
    child.words()[gate] = MUST(child.lend(shut));
    child.words()[told] = MUST(child.lend(ready));
    EXPECT_OK(child.start(lease_and_revoke, 10));
    EXPECT_OK(wait_for(ready, soon()));
    EXPECT_OK(Status(child.words()[refusal].load()));
    EXPECT_EQ(child.words()[taken].load(), descendants);
    EXPECT_EQ(Status(child.words()[again].load()).code(), Error::revoked);
    neighbour.expect_progress(test);
    for (unsigned i = 0; i < 5000; ++i) {
        if (used(MUST(budget.get_ledger()), Resource::leases) == 0) break;
        sleep_for(milliseconds(1));
    }
    EXPECT_EQ(used(MUST(budget.get_ledger()), Resource::leases), 0);
    destroy(test, budget);
}

void wake_storm_once(Context& test) {
    const auto neighbour = MUST(Neighbour::create(test));
    const auto budget =
        MUST(test.budget().create_budget(attacker_limits(Resource::threads, Child::threads_max)));
    auto child = MUST(Child::create(test.budget(), test.process(), budget));
    const auto sequence = MUST(make_semaphore(budget, abi::semaphore_sequence));
    child.words()[semaphore] = MUST(child.lend(sequence));
    for (unsigned i = 0; i < 6; ++i) EXPECT_OK(child.start(wait_for_ever, 15));
    for (unsigned i = 0; i < 2; ++i) EXPECT_OK(child.start(signal_for_ever, 10));
    neighbour.expect_progress(test, 50);
    EXPECT(child.words()[taken].load() > 0);
    destroy(test, budget);
    neighbour.expect_progress(test);
}

void mute_server_once(Context& test) {
    const auto neighbour = MUST(Neighbour::create(test));
    const auto budget = MUST(test.budget().create_budget(attacker_limits(Resource::slots, 4)));
    const auto clients = MUST(test.budget().create_budget(usual_limits()));
    auto server = MUST(Child::create(test.budget(), test.process(), budget));
    const auto blocks = MUST(budget.create_memory(4, 0));
    auto table = MUST(budget.create_table(4, 4096, blocks, 0));
    const auto object = MUST(table.create_object(1, abi::all_rights, 0));
    server.words()[table_handle] = MUST(server.lend(table));
    EXPECT_OK(server.start(take_for_ever, 10));
    auto child = MUST(Child::create(test.budget(), test.process(), clients));
    EXPECT_OK(become_client(test, child, table));
    child.words()[deadline_at] = Deadline::after(milliseconds(60)).at;
    constexpr unsigned callers = 6;
    for (unsigned i = 0; i < callers; ++i) EXPECT_OK(child.start(call_once, 20));
    neighbour.expect_progress(test);
    for (unsigned i = 0; i < 10'000 && child.words()[calls_ended].load() < callers; ++i) {
        sleep_for(milliseconds(1));
    }
    EXPECT_EQ(child.words()[calls_ended].load(), callers);
    for (unsigned i = 0; i < callers; ++i) {
        const Error error = Status(child.words()[statuses + i].load()).code();
        // Taken and never answered, or never taken.
        if (error != Error::unknown_outcome && error != Error::timed_out) {
            test.fail("call {} answered {}", i, abi::name_of(error));
        }
    }
    // Orphans are the clients' share; there is never more than all slots, and nobody waits.
    const auto state = MUST(table.get_state());
    EXPECT(state.orphans > 0 && state.orphans <= 4);
    EXPECT_EQ(state.clients, 0);
    EXPECT_EQ(state.queued, 0);
    neighbour.expect_progress(test);
    destroy(test, budget);
    EXPECT_ERROR(system::call_words(object.value(), read_word).status, Error::server_died);
    destroy(test, clients);
}

// Answers `count` requests, or those there are within seconds.
unsigned answer(abi::Handle table, unsigned count) {
    unsigned answered = 0;
    uint64_t request = 0;
    system::Reply reply;
    reply.bytes_out = answer_bytes;
    while (answered < count) {
        const auto delivery = system::reply_and_wait(table, request, reply, soon().at);
        request = 0;
        if (!delivery.status.ok()) break;
        if (delivery.request == 0) continue;
        request = delivery.request;
        ++answered;
    }
    if (request != 0) {
        static_cast<void>(system::reply_and_wait(table, request, reply, 0, abi::reply_only));
    }
    return answered;
}

void deaf_client_once(Context& test) {
    const auto neighbour = MUST(Neighbour::create(test));
    const auto budget =
        MUST(test.budget().create_budget(attacker_limits(Resource::threads, Child::threads_max)));
    const auto blocks = MUST(test.budget().create_memory(4, 0));
    auto table = MUST(test.budget().create_table(4, 4096, blocks, 0));
    const auto ours = MUST(table.create_object(2, abi::all_rights, 0));
    auto child = MUST(Child::create(test.budget(), test.process(), budget));
    EXPECT_OK(become_client(test, child, table));
    child.words()[deadline_at] = abi::deadline_never;
    for (unsigned i = 0; i < 3; ++i) EXPECT_OK(child.start(call_once, 3));
    uint64_t there = 0;
    for (unsigned i = 0; i < 10'000 && there != 3; ++i) {
        const auto state = MUST(table.get_state());
        there = state.queued + state.clients;
        if (there != 3) sleep_for(milliseconds(1));
    }
    EXPECT_EQ(there, 3);
    // From here on the clients get no CPU to take their answers with.
    for (unsigned i = 0; i < 4; ++i) EXPECT_OK(child.start(spin, 10));
    sleep_for(milliseconds(5));
    EXPECT_EQ(answer(table.value(), 2), 2);
    // Others are served.
    constexpr unsigned calls = 200;
    std::atomic<unsigned> good = 0;
    auto client = MUST(start_thread([&] {
        std::byte bytes[answer_bytes];
        for (unsigned i = 0; i < calls; ++i) {
            const auto called =
                system::call_buffer(ours.value(), read_word, system::buffer_out(std::span(bytes)));
            if (called.status.ok() && called.bytes_out == answer_bytes) ++good;
        }
    }));
    answer(table.value(), calls);
    EXPECT_OK(client.join());
    EXPECT_EQ(good.load(), calls);
    EXPECT_EQ(child.words()[calls_ended].load(), 0);
    neighbour.expect_progress(test);
    destroy(test, budget);
    // Their slots are free again: those that were answered as well as those that were not.
    auto state = MUST(table.get_state());
    for (unsigned i = 0; i < 10'000 && state.free < 4; ++i) {
        sleep_for(milliseconds(1));
        state = MUST(table.get_state());
    }
    EXPECT_EQ(state.free, 4);
    EXPECT_EQ(state.queued, 0);
    EXPECT_EQ(state.clients, 0);
}

}  // namespace
}  // namespace annulus::test::cases

TEST(revoke_many, "30,000 descendants of a lease are revoked, and the neighbour goes on") {
    expect_ledgers(test, revoke_many_once);
}

TEST(wake_storm, "threads that wake each other for ever stop no neighbour, and can be destroyed") {
    expect_ledgers(test, wake_storm_once);
}

TEST(mute_server, "callers of a server that never answers leave at their deadline") {
    expect_ledgers(test, mute_server_once);
}

TEST(deaf_client, "a client that never takes its answers costs others nothing") {
    expect_ledgers(test, deaf_client_once);
}
