// SPDX-License-Identifier: MIT
// Killing threads in every state in which a thread can be.

#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/semaphore.h"
#include "tests/guest/child.h"
#include "tests/guest/harness.h"
#include "tests/guest/threads.h"

namespace annulus::test::cases {
namespace {

Result<Semaphore> make_semaphore(const Context& test) {
    return test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0);
}

// Kills a thread that got as far as it can, and expects it to be gone.
template <typename Function>
void kill_in(Context& test, Function function, const ThreadOptions& options = eager) {
    EXPECT_OK(on_one_cpu([&] {
        Crew<1> crew;
        EXPECT_OK(crew.add(function, options));
        EXPECT_OK(crew[0].remove_kill(99));
        EXPECT_OK(crew.join(Deadline::after(seconds(10))));
    }));
}

void spin(Child::Word* words) {
    for (;;) words[0].fetch_add(1);
}

void fault(Child::Word* words) {
    words[0] = 1;
    // Safety: it is to fault: rax is no mapped address until somebody changes it.
    asm volatile("movq $64, %%rax\n\tmovq $5, (%%rax)" : : : "rax", "memory");
    words[0] = 2;
}

}  // namespace
}  // namespace annulus::test::cases

TEST(kill_waiting, "a thread that waits for semaphores can be killed") {
    const auto semaphore = MUST(make_semaphore(test));
    const abi::WaitEntry entries[] = {{semaphore.value(), 0}, {semaphore.value(), 0}};
    kill_in(test, [&] { static_cast<void>(wait_for(semaphore)); });
    kill_in(test, [&] { static_cast<void>(wait_for(semaphore, Deadline::after(seconds(60)))); });
    kill_in(test, [&] { static_cast<void>(system::wait_any(entries, 2, abi::deadline_never)); });
    kill_in(test, [&] {
        const auto other = make_semaphore(test);
        if (!other.ok()) return;
        static_cast<void>(
            system::signal_and_wait(other->value(), semaphore.value(), 0, abi::deadline_never));
    });
}

TEST(kill_serving, "a thread that waits for a request, an answer or a slot can be killed") {
    const auto table = MUST(test.budget().create_table(1, 0, {}, 0));
    const auto object = MUST(table.create_object(1, abi::all_rights, 0));
    const uint64_t operation = abi::operation_word(abi::Verb::get, 1);
    kill_in(test, [&] {
        static_cast<void>(system::reply_and_wait(table.value(), 0, {}, abi::deadline_never));
    });
    const auto ask = [&] { static_cast<void>(system::call_words(object.value(), operation)); };
    kill_in(test, ask);
    EXPECT_EQ(MUST(table.get_state()).free, 1);
    Crew<1> first;
    EXPECT_OK(first.add(ask));
    const auto never = MUST(make_semaphore(test));
    while (MUST(table.get_state()).queued == 0) {
        static_cast<void>(wait_for(never, Deadline::after(microseconds(100))));
    }
    kill_in(test, ask);
    EXPECT_OK(first[0].remove_kill(0));
    EXPECT_OK(first.join());
    EXPECT_EQ(MUST(table.get_state()).free, 1);
}

TEST(kill_ready, "a thread that is ready but has not begun can be killed") {
    std::atomic<unsigned> ran = 0;
    kill_in(test, [&] { ++ran; }, patient);
    EXPECT_EQ(ran.load(), 0);
}

TEST(kill_running, "a thread that runs in user mode for ever is killed, on any CPU") {
    for (unsigned i = 0; i < 20; ++i) {
        std::atomic<uint64_t> turns = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                for (;;) turns.fetch_add(1);
            },
            {.stack_pages = 4, .priority = 30}));
        const auto never = MUST(make_semaphore(test));
        while (turns.load() == 0) {
            static_cast<void>(wait_for(never, Deadline::after(microseconds(100))));
        }
        EXPECT_OK(crew[0].remove_kill(7));
        EXPECT_OK(crew.join());
        const uint64_t last = turns.load();
        static_cast<void>(wait_for(never, Deadline::after(microseconds(500))));
        EXPECT_EQ(turns.load(), last);
    }
}

TEST(kill_itself, "a thread that kills itself does not return from the call") {
    std::atomic<unsigned> after = 0;
    const auto own = MUST(make_semaphore(test));
    ThreadReference self;
    Crew<1> crew;
    EXPECT_OK(crew.add([&] {
        static_cast<void>(wait_for(own));
        static_cast<void>(self.remove_kill(3));
        ++after;
    }));
    self = crew[0];
    EXPECT_OK(signal(own));
    EXPECT_OK(crew.join());
    EXPECT_EQ(after.load(), 0);
}

TEST(kill_stopped, "a thread that a fault stopped can be killed, or mended and resumed") {
    for (const bool mend : {false, true}) {
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
        const auto faulted = MUST(make_semaphore(test));
        EXPECT_OK(child.process().watch_fault(faulted));
        const auto thread = MUST(child.start(fault));
        EXPECT_OK(wait_for(faulted));
        const auto stopped = MUST(child.process().get_faulted());
        const auto state = MUST(stopped.get_state());
        EXPECT_EQ(state.stopped, 1);
        EXPECT_EQ(state.fault, abi::FaultKind::page_write);
        EXPECT_EQ(state.fault_address, 64);
        EXPECT_EQ(child.words()[0].load(), 1);
        if (!mend) {
            EXPECT_OK(stopped.remove_kill(1));
            EXPECT_OK(child.wait(Deadline::after(seconds(10))));
            EXPECT_EQ(child.words()[0].load(), 1);
            continue;
        }
        auto registers = MUST(stopped.get_registers());
        EXPECT_EQ(registers.rax, 64);
        registers.rax = reinterpret_cast<uint64_t>(child.words() + 8);
        EXPECT_OK(stopped.set_registers(registers));
        EXPECT_OK(stopped.set_resume());
        EXPECT_OK(child.wait(Deadline::after(seconds(10))));
        EXPECT_EQ(child.words()[0].load(), 2);
        EXPECT_EQ(child.words()[8].load(), 5);
    }
}

TEST(kill_process, "killing a process ends threads in every state, once and for all") {
    for (unsigned trial = 0; trial < 20; ++trial) {
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
        const auto semaphore = MUST(make_semaphore(test));
        child.words()[1] = MUST(child.lend(semaphore));
        const auto first = MUST(child.start(spin));
        const auto second = MUST(child.start(spin));
        const auto third = MUST(child.start([](Child::Word* words) {
            static_cast<void>(system::wait(words[1].load(), 0, abi::deadline_never));
        }));
        while (child.words()[0].load() < trial * 1000) {
            static_cast<void>(wait_for(semaphore, Deadline::after(microseconds(500))));
        }
        EXPECT_OK(child.kill());
        const uint64_t last = child.words()[0].load();
        EXPECT_EQ(MUST(first.get_state()).reason, abi::EndReason::killed);
        EXPECT_EQ(MUST(third.get_state()).reason, abi::EndReason::killed);
        EXPECT_EQ(child.words()[0].load(), last);
    }
}
