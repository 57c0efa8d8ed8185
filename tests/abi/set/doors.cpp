// SPDX-License-Identifier: MIT
// The short ways of sets, through their doors: they answer what the general way answers, and
// whoever comes the general way finds a thread that waits there.
//
// The short ways need the machine for themselves: with one CPU these tests take them, with more
// (threads that may not run everywhere) the general way, and both pass.

#include "tests/abi/set/sets.h"
#include "tests/guest/child.h"
#include "tests/guest/threads.h"

#include <array>

namespace annulus::test::cases {
namespace {

constexpr uint64_t op_get = abi::operation_word(abi::Verb::get, 1);
constexpr uint64_t key = 0x1234567890abcdef;

// A set, one member, and what it signals back to.
struct Pair {
    static Result<Pair> create(const Context& test) {
        Pair pair;
        pair.set = TRY(test.budget().create_set(2));
        pair.member = TRY(make_semaphore(test));
        pair.back = TRY(make_semaphore(test));
        TRY(pair.set.create_member(pair.member, key, 0));
        return pair;
    }
    // Units of the member.
    uint64_t value() const {
        const auto state = member.get_state();
        return state.ok() ? state->value : ~uint64_t{0};
    }
    Set set;
    Semaphore member, back;
};

system::Registers filled(abi::SystemCall number, uint64_t rdi, uint64_t rsi) {
    constexpr uint64_t junk = 0x1111;
    return {.rax = static_cast<uint64_t>(number),
            .rbx = junk,
            .rdx = abi::deadline_never,
            .rsi = rsi,
            .rdi = rdi,
            .rbp = 0x2222,
            .r8 = junk,
            .r9 = junk,
            .r10 = 0,
            .r12 = junk,
            .r13 = junk,
            .r14 = junk,
            .r15 = junk};
}

system::Registers enter(system::Registers registers) {
    system::annulus_raw_system_call(&registers);
    return registers;
}

// Registers that hold neither nothing nor what was passed.
unsigned leaks(const system::Registers& got) {
    unsigned count = 0;
    for (const uint64_t value :
         {got.rbx, got.rsi, got.rdi, got.r8, got.r9, got.r10, got.r12, got.r13, got.r14, got.r15}) {
        // Handles are small; addresses of the kernel are not.
        if ((value >> 63) != 0 && value != abi::deadline_never) ++count;
    }
    return count;
}

}  // namespace
}  // namespace annulus::test::cases

TEST(door_answers, "a wait on a set answers key and nothing else, whoever signals and how") {
    EXPECT_OK(on_one_cpu([&] {
        const Pair pair = MUST(Pair::create(test));
        constexpr unsigned rounds = 4;
        system::Registers got[rounds];
        const auto take = [&] {
            for (auto& registers : got) {
                registers = enter(filled(abi::SystemCall::wait, pair.set.value(), 0));
            }
        };
        for (const auto& options : {eager, patient}) {
            auto waiter = MUST(start_thread(take, options));
            for (unsigned i = 0; i < rounds; ++i) {
                // The patient one waits only after this thread does.
                if (options.priority < 20) {
                    static_cast<void>(wait_for(pair.back, Deadline::after(milliseconds(2))));
                }
                const auto answer = enter(filled(abi::SystemCall::signal, pair.member.value(), 1));
                EXPECT_EQ(answer.rax, 0);
                EXPECT_EQ(answer.rbp, 0x2222);
                EXPECT_EQ(leaks(answer), 0);
            }
            EXPECT_OK(waiter.join());
            for (const auto& registers : got) {
                EXPECT_EQ(registers.rax, 0);
                EXPECT_EQ(registers.rdx, key);
                EXPECT_EQ(registers.rsi, 0);
                EXPECT_EQ(registers.rbp, 0x2222);
                EXPECT_EQ(leaks(registers), 0);
            }
        }
        EXPECT_EQ(pair.value(), 0);
    }));
}

TEST(door_hand_off, "signal_and_wait from a set to a set hands keys over, and leaves no unit") {
    EXPECT_OK(on_one_cpu([&] {
        const Pair here = MUST(Pair::create(test));
        const Pair there = MUST(Pair::create(test));
        constexpr unsigned rounds = 100;
        unsigned wrong = 0;
        const auto check = [&](const system::Registers& got) {
            if (got.rax != 0 || got.rdx != key || got.rsi != 0 || got.rbp != 0x2222) ++wrong;
            wrong += leaks(got);
        };
        auto thread = MUST(start_thread(
            [&] {
                check(enter(filled(abi::SystemCall::wait, there.set.value(), 0)));
                for (unsigned i = 1; i < rounds; ++i) {
                    check(enter(filled(abi::SystemCall::signal_and_wait, here.member.value(),
                                       there.set.value())));
                }
                if (!signal(here.member).ok()) ++wrong;
            },
            {.stack_pages = 8, .priority = 20, .affinity = 1}));
        for (unsigned i = 0; i < rounds; ++i) {
            check(enter(
                filled(abi::SystemCall::signal_and_wait, there.member.value(), here.set.value())));
        }
        EXPECT_OK(thread.join());
        EXPECT_EQ(wrong, 0);
        EXPECT_EQ(here.value(), 0);
        EXPECT_EQ(there.value(), 0);
        // Its own member: the event is there before the wait is.
        const auto own =
            system::signal_and_wait(here.member.value(), here.set.value(), 0, abi::deadline_never);
        EXPECT_OK(own.status);
        EXPECT_EQ(own.value, key);
    }));
}

TEST(door_general, "operations find a thread that waits at a set's door, and it waits on") {
    EXPECT_OK(on_one_cpu([&] {
        const Pair pair = MUST(Pair::create(test));
        const Semaphore second = MUST(make_semaphore(test));
        const Table table = MUST(test.budget().create_table(1, 0, MemoryReference(), 0));
        OneEvent event{};
        unsigned events = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                for (; events < 3; ++events) event = next_event(pair.set, abi::deadline_never);
            },
            eager));
        EXPECT_ERROR(table.set_events(pair.set), Error::busy);
        EXPECT_ERROR(next_event(pair.set).status, Error::timed_out);
        EXPECT_OK(pair.set.create_member(second, 2, 0));
        EXPECT_OK(signal(second));
        EXPECT_EQ(events, 1);
        EXPECT_EQ(event.key, 2);
        // A unit for the set is none for who polls the member, and the other way round.
        EXPECT_ERROR(wait_for(pair.member, Deadline::poll()), Error::timed_out);
        EXPECT_OK(pair.set.remove_member(pair.member));
        EXPECT_OK(signal(pair.member));
        EXPECT_EQ(events, 1);
        EXPECT_EQ(pair.value(), 1);
        EXPECT_OK(pair.set.create_member(pair.member, key, 0));
        EXPECT_EQ(events, 2);
        EXPECT_EQ(event.key, key);
        EXPECT_EQ(pair.value(), 0);
        EXPECT_OK(signal(second));
        EXPECT_OK(crew.join());
        EXPECT_EQ(event.key, 2);
    }));
}

TEST(door_plain_waiter, "a thread that waits for the member itself comes before the set's") {
    EXPECT_OK(on_one_cpu([&] {
        const Pair pair = MUST(Pair::create(test));
        unsigned events = 0;
        unsigned units = 0;
        Crew<2> crew;
        EXPECT_OK(crew.add(
            [&] {
                while (next_event(pair.set, abi::deadline_never).status.ok() && ++events < 2) {
                }
            },
            eager));
        EXPECT_OK(signal(pair.member));
        EXPECT_EQ(events, 1);
        EXPECT_OK(crew.add([&] { units += wait_for(pair.member).ok() ? 1 : 0; }, eager));
        EXPECT_OK(signal(pair.member));
        EXPECT_EQ(units, 1);
        EXPECT_EQ(events, 1);
        EXPECT_OK(signal(pair.member));
        EXPECT_EQ(events, 2);
        EXPECT_OK(crew.join());
    }));
}

TEST(door_ends, "closing the set or the member, or a kill, ends a wait at the set's door") {
    EXPECT_OK(on_one_cpu([&] {
        for (unsigned i = 0; i < 3; ++i) {
            Pair pair = MUST(Pair::create(test));
            OneEvent event{};
            unsigned events = 0;
            auto thread = MUST(start_thread(
                [&] {
                    while (events < 2) {
                        event = next_event(pair.set.value(), abi::deadline_never);
                        ++events;
                    }
                },
                eager));
            EXPECT_OK(signal(pair.member));
            EXPECT_EQ(events, 1);
            if (i == 0) pair.set.close();
            if (i == 1) pair.member.close();
            if (i == 2) EXPECT_OK(thread.handle().remove_kill(0));
            EXPECT_OK(thread.join());
            EXPECT_EQ(events, i == 2 ? 1u : 2u);
            if (i == 0) EXPECT_ERROR(event.status, Error::closed);
            if (i == 1) EXPECT_EQ(event.status.detail(), abi::event_closed);
            if (i != 2) continue;
            EXPECT_OK(signal(pair.member));
            EXPECT_EQ(next_event(pair.set).key, key);
        }
    }));
}

TEST(door_table, "events that a client hands to a table's server keep its slots in order") {
    EXPECT_OK(on_one_cpu([&] {
        const Pair pair = MUST(Pair::create(test));
        constexpr unsigned slots = 2;
        const Table table = MUST(test.budget().create_table(slots, 0, MemoryReference(), 0));
        const Served object = MUST(table.create_object(1, abi::all_rights, 0));
        EXPECT_OK(table.set_events(pair.set));
        unsigned events = 0;
        unsigned requests = 0;
        unsigned wrong = 0;
        const auto serve = [&] {
            uint64_t request = 0;
            for (;;) {
                const auto delivery =
                    system::reply_and_wait(table.value(), request, {}, abi::deadline_never);
                if (!delivery.status.ok()) return;
                request = delivery.request;
                if ((delivery.status.detail() & abi::delivery_event) == 0) {
                    ++requests;
                    continue;
                }
                ++events;
                if (delivery.cookie != key || request != 0 || delivery.header.bits != 0) ++wrong;
                for (const uint64_t word : delivery.words.at) wrong += word != 0 ? 1 : 0;
                if (delivery.bytes_in() != 0 || delivery.capacity_out() != 0) ++wrong;
                if (delivery.deadline != 0 || delivery.client != 0) ++wrong;
                if (!signal(pair.back).ok()) ++wrong;
            }
        };
        constexpr ThreadOptions equal = {.stack_pages = 8, .priority = 20, .affinity = 1};
        Crew<2> crew;
        for (unsigned i = 0; i < 2; ++i) EXPECT_OK(crew.add(serve, equal));
        constexpr unsigned rounds = 20;
        for (unsigned i = 0; i < rounds; ++i) {
            const auto status = system::signal_and_wait(pair.member.value(), pair.back.value(),
                                                        abi::deadline_never);
            EXPECT_OK(status);
            if (i % 5 != 4) continue;
            // It waits for ever if the events took the slots away.
            EXPECT_OK(
                system::call_buffer(object.value(), op_get, {}, 0, 0, 0, 0, 0, 0, soon()).status);
        }
        EXPECT_EQ(events, rounds);
        EXPECT_EQ(requests, rounds / 5);
        EXPECT_EQ(wrong, 0);
        const auto counts = MUST(table.get_state());
        EXPECT_EQ(counts.free, slots);
        EXPECT_EQ(counts.taken, 0);
        EXPECT_OK(table.shutdown_fault(1));
        EXPECT_OK(crew.join());
    }));
}

namespace annulus::test::cases {
namespace {

enum Place : unsigned { own_set, peer_member, rounds_done };

// One of two that hand the same events to each other, from set to set.
template <unsigned self>
void hand_round(Child::Word* words) {
    const abi::Handle set = words[4 * self + own_set].load();
    const abi::Handle peer = words[4 * self + peer_member].load();
    for (;;) {
        system::signal_and_wait(peer, set, 0, abi::deadline_never);
        words[4 * self + rounds_done].fetch_add(1);
    }
}

}  // namespace
}  // namespace annulus::test::cases

TEST(door_kills, "processes killed while they hand events from set to set lose none") {
    const Semaphore never = MUST(make_semaphore(test));
    uint64_t handed = 0;
    for (unsigned trial = 0; trial < 20; ++trial) {
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
        const std::array<Pair, 2> pairs = {MUST(Pair::create(test)), MUST(Pair::create(test))};
        for (unsigned i = 0; i < 2; ++i) {
            child.words()[4 * i + own_set] = MUST(child.lend(pairs[i].set));
            child.words()[4 * i + peer_member] = MUST(child.lend(pairs[1 - i].member));
        }
        EXPECT_OK(child.start(hand_round<0>));
        EXPECT_OK(child.start(hand_round<1>));
        static_cast<void>(wait_for(never, Deadline::after(microseconds(500 + 150 * trial))));
        EXPECT_OK(child.kill());
        handed += child.words()[rounds_done].load() + child.words()[4 + rounds_done].load();
        // Two events are under way; each is in a semaphore, or went to a thread that died.
        for (const Pair& pair : pairs) {
            const uint64_t left = pair.value();
            EXPECT(left <= 2);
            for (uint64_t i = 0; i < left; ++i) EXPECT_EQ(next_event(pair.set).key, key);
            EXPECT_ERROR(next_event(pair.set).status, Error::timed_out);
            EXPECT_OK(signal(pair.member));
            EXPECT_EQ(next_event(pair.set, soon()).key, key);
        }
        if (test.failed()) return;
    }
    report_count("handed_round", handed);
}
