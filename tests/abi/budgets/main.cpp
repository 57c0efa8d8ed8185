// SPDX-License-Identifier: MIT
// Instructions of the fast paths. Run with -icount the cycle counter counts instructions exactly,
// so each figure is the same in every run; without it the figures mean nothing.
//
// Each loop runs warm-up rounds first, then `rounds` rounds; the figure is the mean, to the
// nearest, and includes the user-mode stub, but not the loop around it. Both sides block, in two
// address spaces; their threads have the same priority, and nobody else is ready: each measurement
// waits until the machine has come to rest (the console prints what the last one reported).
#include "runtime/ring.h"
#include "runtime/semaphore.h"
#include "tests/abi/budgets/measure.h"

#include <memory>

const char* const annulus::test::suite = "budgets";

using namespace annulus;

namespace {

constexpr uint64_t operation = abi::operation_word(abi::Verb::get, 1);

alignas(64) std::byte half_kib[512];

// Receives the object that the peer makes and sends to an object of this table, cookie 7.
Object object_of_peer(test::Context& test, const Table& table) {
    const auto request = system::reply_and_wait(table.value(), 0, {}, abi::deadline_never);
    EXPECT_OK(request.status);
    EXPECT_OK(
        system::reply_and_wait(table.value(), request.request, {}, 0, abi::reply_only).status);
    return Object(request.words[0]);
}

}  // namespace

TEST(null_call, "a system call that checks a handle and does nothing stays in its budget") {
    const auto semaphore = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    measure(test, "1", "null call with handle check",
            [&] { system::signal(semaphore.value(), 0); });
}

TEST(round_trip, "a call and its answer between two processes stay in their budget") {
    const auto image = MUST(Peer::image(test));
    const auto table = MUST(test.budget().create_table(4, 0, {}, 0));
    const auto object = MUST(table.create_object(7, abi::all_rights, 0));
    const Grant grants[] = {{"table", table}};
    const auto child = MUST(Peer::start(test, image, grants));
    EXPECT_OK(system::call_words(object.value(), operation).status);
    measure(test, "2", "call and reply", [&] { system::call_words(object.value(), operation); });
    Peer::stop(test, child);
}

TEST(round_trip_bytes, "a call with 512 bytes stays in its budget, read by the server or not") {
    const auto image = MUST(Peer::image(test));
    const auto blocks = MUST(test.budget().create_memory(1, 0));
    const auto table = MUST(test.budget().create_table(4, sizeof(half_kib), blocks, 0));
    const auto object = MUST(table.create_object(7, abi::all_rights, 0));
    const system::Buffer buffer{half_kib, sizeof(half_kib), 0};
    // Without the blocks the bytes stay where the kernel has put them.
    const Grant grants[] = {{"table", table}, {"blocks", blocks}};
    for (const bool reads : {false, true}) {
        const auto child = MUST(Peer::start(test, image, std::span(grants, reads ? 2 : 1)));
        EXPECT_OK(system::call_buffer(object.value(), operation, buffer).status);
        measure(test, reads ? "3r" : "3",
                reads ? "the same, and the server reads the bytes" : "call with 512 B and reply",
                [&] { system::call_buffer(object.value(), operation, buffer); });
        Peer::stop(test, child);
    }
}

TEST(round_trip_answer, "a call whose answer has 512 bytes stays in its budget") {
    const auto image = MUST(Peer::image(test));
    const auto blocks = MUST(test.budget().create_memory(1, 0));
    const auto table = MUST(test.budget().create_table(4, sizeof(half_kib), blocks, 0));
    const auto object = MUST(table.create_object(7, abi::all_rights, 0));
    const Grant grants[] = {{"table", table}};
    const std::string_view arguments[] = {"answers"};
    const auto child = MUST(Peer::start(test, image, grants, arguments));
    const system::Buffer buffer{half_kib, 0, sizeof(half_kib)};
    EXPECT_EQ(system::call_buffer(object.value(), operation, buffer).bytes_out, sizeof(half_kib));
    measure(test, "3a", "call, and reply with 512 B",
            [&] { system::call_buffer(object.value(), operation, buffer); });
    Peer::stop(test, child);
}

TEST(clock, "reading the time does not enter the kernel") {
    const auto clock = MUST(Clock::open());
    measure(test, "clock", "reading the time", [&] {
        const uint64_t time = clock.now();
        asm volatile("" : : "r"(time));
    });
}

TEST(free_semaphore, "taking and signalling a free semaphore stays in user mode") {
    auto semaphore = MUST(CountingSemaphore::create(1));
    measure(test, "4", "semaphore down and up, free", [&] {
        static_cast<void>(semaphore.down());
        static_cast<void>(semaphore.up());
    });
}

TEST(ping_pong, "a semaphore ping-pong between two processes stays in its budget") {
    const auto image = MUST(Peer::image(test));
    const auto there = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto back = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const Grant grants[] = {{"mine", there}, {"yours", back}};
    const std::string_view arguments[] = {"two"};
    const auto child = MUST(Peer::start(test, image, grants, arguments));
    measure(test, "5", "semaphore ping-pong, both block", [&] {
        system::signal(there.value());
        system::wait(back.value(), abi::deadline_never);
    });
    Peer::stop(test, child);
}

TEST(set_wait, "waiting on a set costs the same, however many members it has") {
    const auto image = MUST(Peer::image(test));
    constexpr unsigned most = 32'768;
    const auto there = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto back = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto set = MUST(test.budget().create_set(most));
    EXPECT_OK(set.create_member(there, 1, 0));
    const Grant grants[] = {{"set", set}, {"yours", back}};
    const auto child = MUST(Peer::start(test, image, grants));
    const auto round = [&] {
        system::signal_and_wait(there.value(), back.value(), 0, abi::deadline_never);
    };
    measure(test, "10", "set of 1, block and wake", round);
    const auto members = std::make_unique<Semaphore[]>(most);
    for (unsigned i = 1; i < most; ++i) {
        members[i] = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
        EXPECT_OK(set.create_member(members[i], 1 + i, 0));
    }
    measure(test, "10", "set of 32768, block and wake", round);
    Peer::stop(test, child);
}

TEST(executor_round_trip, "a call to a server that is a coroutine stays in its budget") {
    const auto image = MUST(Peer::image(test));
    const auto table = MUST(test.budget().create_table(4, 0, {}, 0));
    const auto home = MUST(table.create_object(7, abi::all_rights, 0));
    const auto units = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto back = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const Grant grants[] = {
        {"home", home}, {"mine", units}, {"yours", back}, {"budget", test.budget()}};
    const auto child = MUST(Peer::start(test, image, grants));
    const Object object = object_of_peer(test, table);
    EXPECT_OK(system::call_words(object.value(), operation).status);
    measure(test, "2x", "call and reply, executor",
            [&] { system::call_words(object.value(), operation); });
    const system::Buffer buffer{half_kib, sizeof(half_kib), 0};
    EXPECT_OK(system::call_buffer(object.value(), operation, buffer).status);
    measure(test, "3x", "call with 512 B and reply, executor",
            [&] { system::call_buffer(object.value(), operation, buffer); });
    measure(test, "10x", "set event, executor",
            [&] { system::signal_and_wait(units.value(), back.value(), abi::deadline_never); });
    Peer::stop(test, child);
}

TEST(server_round_trip, "a call to a server with a loop over objects stays in its budget") {
    const auto image = MUST(Peer::image(test));
    const auto table = MUST(test.budget().create_table(4, 0, {}, 0));
    const auto home = MUST(table.create_object(7, abi::all_rights, 0));
    const Grant grants[] = {{"home", home}, {"budget", test.budget()}};
    const auto child = MUST(Peer::start(test, image, grants));
    const Object object = object_of_peer(test, table);
    EXPECT_OK(system::call_words(object.value(), operation).status);
    measure(test, "2s", "call and reply, Server::run",
            [&] { system::call_words(object.value(), operation); });
    Peer::stop(test, child);
}

TEST(short_lives, "semaphores and channels over existing memory are cheap to make") {
    // Looked up once: test.budget() searches for it by name.
    const BudgetReference budget = test.budget();
    const auto memory = MUST(budget.create_memory(1, 0));
    measure(test, "18", "semaphore create and destroy", [&] {
        static_cast<void>(budget.create_semaphore(abi::semaphore_counting, 0, memory, 0));
    });
    measure(test, "18", "channel create and destroy",
            [&] { static_cast<void>(budget.create_channel(memory, 0, abi::page_size, 1, 1)); });
}

TEST(mapping, "mapping, first touch and unmapping do not walk the page table over and over") {
    const ProcessReference process = test.process();
    const auto memory = MUST(test.budget().create_memory(1, 0));
    uint64_t failed = 0;
    measure(test, "16", "map + touch + unmap of a page",
            [&] { failed += map_and_touch(process, memory); });
    EXPECT_EQ(failed, 0u);
    constexpr uint64_t pages = warm_up + rounds;
    const auto fresh = MUST(test.budget().create_memory(pages, abi::memory_on_demand));
    const uint64_t begin =
        MUST(process.map(fresh, 0, pages * abi::page_size, 0, abi::map_read | abi::map_write));
    uint64_t at = begin;
    measure(test, "17", "first touch of a page on demand", [&] {
        // Safety: mapped above, one page for each round.
        *reinterpret_cast<volatile char*>(at) = 1;
        at += abi::page_size;
    });
    EXPECT_OK(process.map_unmap(begin, pages * abi::page_size));
}

TEST(general_call, "an operation on a kernel object that does nothing stays in its budget") {
    const auto semaphore = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    measure(test, "1g", "get.info of a kernel object",
            [&] { static_cast<void>(semaphore.get_info()); });
}

TEST(ring_nops,
     "entries of a ring that only check a handle stay in their budget, alone or 128 at once") {
    constexpr uint32_t entries = 128;
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), entries));
    const auto semaphore = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    uint64_t lost = 0;
    measure(test, "12", "ring entry, batch 1", [&] __attribute__((always_inline)) {
        ring.queues().prepare_nop(7, semaphore.value());
        if (!ring.submit().ok()) [[unlikely]]
            ++lost;
        abi::CompletionEntry done;
        if (!ring.next(done) || !done.ok()) [[unlikely]]
            ++lost;
    });
    const auto batch = [&] __attribute__((always_inline)) {
        for (uint32_t left = entries; left > 0;) {
            const auto places = ring.queues().prepare_some(left);
            if (places.empty()) break;
            left -= static_cast<uint32_t>(places.size());
            uint64_t number = left;
            for (abi::SubmissionEntry& place : places) {
                RingQueues::write_nop(place, ++number, semaphore.value());
            }
        }
        if (!ring.submit().ok()) ++lost;
        for (uint64_t left = entries; left > 0;) {
            const auto done = ring.queues().ready_some();
            if (done.empty()) {
                lost += left;
                break;
            }
            for (const abi::CompletionEntry& completion : done) lost += completion.ok() ? 0 : 1;
            ring.queues().take_some(done.size());
            left -= done.size();
        }
    };
    for (uint64_t i = 0; i < warm_up; ++i) batch();
    const abi::MachineLedger before = machine(test);
    const uint64_t spent = run(batch);
    const abi::MachineLedger after = machine(test);
    report_shares("12", "ring entry, batch 128", spent, before, after, rounds * entries);
    EXPECT_EQ(lost, 0);
}

TEST(hand_off, "a ping-pong by signal_and_wait stays in its budget") {
    const auto image = MUST(Peer::image(test));
    const auto there = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto back = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const Grant grants[] = {{"mine", there}, {"yours", back}};
    const auto child = MUST(Peer::start(test, image, grants));
    measure(test, "6", "ping-pong by signal_and_wait",
            [&] { system::signal_and_wait(there.value(), back.value(), abi::deadline_never); });
    Peer::stop(test, child);
}

TEST(bells, "the ends of a channel ring as cheaply as semaphores") {
    const auto image = MUST(Peer::image(test));
    for (const bool two : {true, false}) {
        const auto memory = MUST(test.budget().create_memory(1, 0));
        const auto ends = MUST(test.budget().create_channel(memory, 0, abi::page_size, 1, 1));
        const Grant grants[] = {{"mine", ends.second}, {"yours", ends.second}};
        const std::string_view arguments[] = {"two"};
        const auto child = MUST(Peer::start(test, image, grants, std::span(arguments, two)));
        const abi::Handle end = ends.first.value();
        if (two) {
            measure(test, "5e", "ping-pong of a channel's ends, both block", [&] {
                system::signal(end);
                system::wait(end, abi::deadline_never);
            });
        } else {
            measure(test, "6e", "the same by signal_and_wait",
                    [&] { system::signal_and_wait(end, end, abi::deadline_never); });
        }
        Peer::stop(test, child);
    }
}
