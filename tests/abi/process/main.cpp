// SPDX-License-Identifier: MIT
// The life of processes: handles installed, states, ends, kill at every point.

#include "abi/operations.h"
#include "runtime/clock.h"
#include "tests/guest/small_process.h"

#include <array>

const char* const annulus::test::suite = "process";

namespace annulus::test::cases {

namespace {

constexpr uint64_t stop_code = 0x1234567890abcdef;

// A process with its code and a semaphore for its end.
struct Subject {
    Memory code;
    Semaphore ended;
    SmallProcess process;
};

Result<Subject> make_subject(Context& test, uint64_t handles = 16) {
    auto code = TRY(make_small_code(test.budget()));
    auto ended =
        TRY(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    auto process = TRY(SmallProcess::create(test.budget(), code, handles));
    TRY(process.add_data(test.budget()));
    TRY(process.process().watch_exit(ended));
    return Subject{std::move(code), std::move(ended), std::move(process)};
}

Deadline soon() { return Deadline::after(seconds(10)); }

// Checks that the process ended, once, for this reason and with this code, and holds nothing.
void expect_end(Context& test, const Subject& subject, abi::EndReason reason, uint64_t code,
                const char* how) {
    const auto waited = wait_for(subject.ended, soon());
    if (!waited.ok()) return test.fail("{}: no end: {}", how, abi::name_of(waited.error()));
    const auto state = subject.process.process().get_state();
    if (!state.ok()) return test.fail("{}: no state", how);
    if (state->reason != reason || state->exit_code != code) {
        return test.fail("{}: ended for reason {} with {x}, not {} with {x}", how,
                         static_cast<uint64_t>(state->reason), state->exit_code,
                         static_cast<uint64_t>(reason), code);
    }
    if (state->threads != 0 || state->handles != 0 || state->mapped_pages != 0) {
        test.fail("{}: {} threads, {} handles, {} pages are left", how, state->threads,
                  state->handles, state->mapped_pages);
    }
    if (wait_for(subject.ended, Deadline::poll()).ok()) test.fail("{}: it ended twice", how);
}

}  // namespace

}  // namespace annulus::test::cases

TEST(install, "an installed handle leaves the caller and works in the process, with its rights") {
    auto subject = MUST(make_subject(test));
    auto semaphore =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 9, MemoryReference(), 0));
    auto lent = MUST(semaphore.get_duplicate(abi::right_of(abi::Verb::get), 0)).handle;
    const ObjectReference old(lent.value());
    const abi::Handle there = MUST(subject.process.process().share_install(std::move(lent)));
    EXPECT_ERROR(old.get_info(), Error::bad_handle);
    EXPECT_EQ(MUST(subject.process.process().get_state()).handles, 1u);
    constexpr uint64_t get_state = abi::operation_word(abi::Verb::get, 0);
    const auto thread = MUST(subject.process.start_call(0, call_registers(there, get_state)));
    expect_end(test, subject, abi::EndReason::exited, 0, "a call with the installed handle");
    EXPECT_EQ(MUST(thread.get_state()).exit_code, 0u);
}

TEST(install_rights, "the process cannot do more with it than the handle allowed") {
    auto subject = MUST(make_subject(test));
    const auto semaphore =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 9, MemoryReference(), 0));
    const abi::Handle there = MUST(subject.process.lend(semaphore, abi::right_signal));
    constexpr uint64_t get_state = abi::operation_word(abi::Verb::get, 0);
    const auto thread = MUST(subject.process.start_call(0, call_registers(there, get_state)));
    const Status wanted(Error::no_right, static_cast<uint16_t>(abi::Verb::get));
    expect_end(test, subject, abi::EndReason::exited, wanted.bits, "a call without the right");
}

TEST(install_late,
     "a process that has started or ended takes no handles; they stay where they are") {
    auto subject = MUST(make_subject(test));
    const auto semaphore =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 9, MemoryReference(), 0));
    const auto thread = MUST(subject.process.start(small_spin));
    auto copy = MUST(semaphore.get_duplicate(abi::all_rights, 0)).handle;
    constexpr uint64_t install = abi::operation_word(abi::Verb::share, 0, 1);
    const abi::Handle process = subject.process.process().value();
    EXPECT_ERROR(system::call_words(process, install, copy.value()).status, Error::wrong_state);
    EXPECT_OK(copy.get_info());
    EXPECT_OK(subject.process.process().remove_kill(1));
    expect_end(test, subject, abi::EndReason::killed, 1, "killed");
    EXPECT_ERROR(system::call_words(process, install, copy.value()).status, Error::wrong_state);
    EXPECT_OK(copy.get_info());
}

TEST(install_full, "a full table answers no_room, and the handle stays where it is") {
    auto subject = MUST(make_subject(test, 16));
    const auto semaphore =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 9, MemoryReference(), 0));
    for (unsigned i = 0; i < 15; ++i) EXPECT_OK(subject.process.lend(semaphore));
    const auto before = MUST(test.process().get_state());
    auto copy = MUST(semaphore.get_duplicate(abi::all_rights, 0)).handle;
    constexpr uint64_t install = abi::operation_word(abi::Verb::share, 0, 1);
    EXPECT_ERROR(
        system::call_words(subject.process.process().value(), install, copy.value()).status,
        Error::no_room);
    EXPECT_OK(copy.get_info());
    EXPECT_EQ(MUST(test.process().get_state()).handles, before.handles + 1);
    // A thread needs entries to receive handles in.
    EXPECT_ERROR(subject.process.start(small_spin), Error::no_room);
}

TEST(table_sizes, "handle tables have 16 to 65536 slots") {
    for (const uint64_t size : {uint64_t{0}, uint64_t{15}, uint64_t{abi::process_handles_max} + 1,
                                uint64_t{1} << 32, ~uint64_t{0}}) {
        EXPECT(test.budget().create_process(size, 0).status() == Status(Error::bad_argument, 0));
    }
    EXPECT_OK(test.budget().create_process(
        16, 0));  // process_handles_min; process_handles_min - 1 is above
    EXPECT_OK(test.budget().create_process(abi::process_handles_max, 0));
}

TEST(thread_operands, "a thread's entry, stack, thread pointer, priority and CPUs are checked") {
    auto subject = MUST(make_subject(test));
    const auto start = [&](uint64_t entry, uint64_t stack, uint64_t fs_base, uint64_t priority,
                           uint64_t affinity) {
        return subject.process.process()
            .create_thread(entry, stack, 0, fs_base, priority, affinity)
            .status();
    };
    const uint64_t entry = small_address(small_spin);
    for (const uint64_t bad : {uint64_t{0}, abi::user_begin - 1, abi::user_end, uint64_t{1} << 47,
                               uint64_t{1} << 63, ~uint64_t{0}}) {
        EXPECT(start(bad, small_stack_top, 0, 1, 0) == Status(Error::bad_argument, 0));
    }
    for (const uint64_t bad : {abi::user_end, uint64_t{1} << 47, uint64_t{1} << 63, ~uint64_t{0}}) {
        EXPECT(start(entry, bad, 0, 1, 0) == Status(Error::bad_argument, 1));
        EXPECT(start(entry, small_stack_top, bad, 1, 0) == Status(Error::bad_argument, 3));
    }
    for (const uint64_t bad : {uint64_t{abi::priority_count}, uint64_t{256}, uint64_t{1} << 40}) {
        EXPECT(start(entry, small_stack_top, 0, bad, 0) == Status(Error::bad_argument, 4));
    }
    EXPECT(start(entry, small_stack_top, 0, 1, uint64_t{1} << 63) ==
           Status(Error::bad_argument, 5));
    // At the highest there is, by the root's ceiling.
    auto exiting = MUST(make_subject(test));
    EXPECT_OK(exiting.process.start(small_exit, 7, abi::priority_count - 1));
    expect_end(test, exiting, abi::EndReason::exited, 7, "the highest priority");
    const auto state = MUST(subject.process.process().get_state());
    EXPECT_EQ(state.threads, 0u);
    EXPECT_EQ(state.reason, abi::EndReason::alive);
}

TEST(states, "a process is alive without threads, alive with them, and ends with its last") {
    auto subject = MUST(make_subject(test));
    const ProcessReference process = subject.process.process();
    auto state = MUST(process.get_state());
    EXPECT_EQ(state.reason, abi::EndReason::alive);
    EXPECT_EQ(state.threads, 0u);
    EXPECT_EQ(state.handles, 0u);
    EXPECT_EQ(state.mapped_pages, 3u);
    const auto spinning = MUST(subject.process.start(small_spin));
    const auto exiting = MUST(subject.process.start(small_exit, 41));
    const auto ended =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    EXPECT_OK(exiting.watch_exit(ended));
    EXPECT_OK(wait_for(ended, soon()));
    EXPECT_EQ(MUST(exiting.get_state()).reason, abi::EndReason::exited);
    EXPECT_EQ(MUST(exiting.get_state()).exit_code, 41u);
    EXPECT_EQ(MUST(process.get_state()).reason, abi::EndReason::alive);
    sleep_for(milliseconds(5));
    EXPECT_OK(spinning.remove_kill(stop_code));
    expect_end(test, subject, abi::EndReason::killed, stop_code, "the last thread was killed");
    EXPECT_EQ(MUST(spinning.get_state()).reason, abi::EndReason::killed);
    EXPECT(MUST(process.get_state()).cpu_ns > 0);
}

TEST(exit_codes, "a process ends with its last thread's code") {
    for (const uint64_t code : {uint64_t{0}, uint64_t{1}, stop_code, ~uint64_t{0}}) {
        const auto subject = MUST(make_subject(test));
        const auto thread = MUST(subject.process.start(small_exit, code));
        expect_end(test, subject, abi::EndReason::exited, code, "exit");
        EXPECT_EQ(MUST(thread.get_state()).exit_code, code);
    }
}

TEST(late_watch, "a watch for an end that has come signals at once; each watcher gets one unit") {
    const auto subject = MUST(make_subject(test));
    const auto thread = MUST(subject.process.start(small_exit, 0));
    expect_end(test, subject, abi::EndReason::exited, 0, "exit");
    const auto late =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    EXPECT_OK(subject.process.process().watch_exit(late));
    EXPECT_OK(wait_for(late, Deadline::poll()));
    EXPECT_ERROR(wait_for(late, Deadline::poll()), Error::timed_out);
    EXPECT_OK(thread.watch_exit(late));
    EXPECT_OK(wait_for(late, Deadline::poll()));
    EXPECT_ERROR(wait_for(late, Deadline::poll()), Error::timed_out);
}

TEST(dead_operations, "an ended process and thread refuse what needs a living one") {
    const auto subject = MUST(make_subject(test));
    const auto thread = MUST(subject.process.start(small_exit, 5));
    expect_end(test, subject, abi::EndReason::exited, 5, "exit");
    const ProcessReference process = subject.process.process();
    EXPECT_ERROR(subject.process.start(small_spin), Error::wrong_state);
    EXPECT_ERROR(process.map(subject.code, 0, abi::page_size, 0, abi::map_read),
                 Error::wrong_state);
    EXPECT_OK(process.remove_kill(6));
    EXPECT_EQ(MUST(process.get_state()).exit_code, 5u);
    EXPECT_OK(thread.remove_kill(6));
    EXPECT_EQ(MUST(thread.get_state()).exit_code, 5u);
    EXPECT_ERROR(process.get_faulted(), Error::not_found);
    EXPECT_ERROR(thread.get_registers(), Error::wrong_state);
    EXPECT_ERROR(thread.set_resume(), Error::wrong_state);
}

TEST(kill_unstarted, "a process that never started can be killed") {
    const auto subject = MUST(make_subject(test));
    EXPECT_OK(subject.process.process().remove_kill(stop_code));
    expect_end(test, subject, abi::EndReason::killed, stop_code, "kill before the start");
}

TEST(kill_running, "a thread that never enters the kernel is killed") {
    for (unsigned i = 0; i < 20; ++i) {
        const auto subject = MUST(make_subject(test));
        const auto first = MUST(subject.process.start(small_spin));
        const auto second = MUST(subject.process.start(small_spin));
        if (i % 2 == 1) sleep_for(milliseconds(1));
        EXPECT_OK(subject.process.process().remove_kill(i));
        expect_end(test, subject, abi::EndReason::killed, i, "kill while running");
        EXPECT_EQ(MUST(first.get_state()).reason, abi::EndReason::killed);
        EXPECT_EQ(MUST(second.get_state()).exit_code, i);
    }
}

TEST(kill_waiting, "threads are killed in every wait, and take no unit with them") {
    auto subject = MUST(make_subject(test, 64));
    const SmallProcess& process = subject.process;
    const auto make = [&] {
        return test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0);
    };
    const std::array semaphores = {MUST(make()), MUST(make()), MUST(make())};
    const abi::WaitEntry entries[2] = {{MUST(process.lend(semaphores[1])), 0},
                                       {MUST(process.lend(semaphores[2])), 0}};
    const abi::Handle sleep = MUST(process.lend(semaphores[0]));
    EXPECT_OK(process.write_data(2048, std::as_bytes(std::span(entries))));
    const uint64_t far = Deadline::after(seconds(100)).at;
    const auto never = abi::deadline_never;
    std::array<Thread, 6> threads;
    threads[0] = MUST(process.start_call(0, wait_registers(sleep, never)));
    threads[1] = MUST(process.start_call(1, wait_registers(sleep, far)));
    threads[2] = MUST(process.start_call(2, wait_any_registers(small_data + 2048, 2, never)));
    threads[3] = MUST(process.start_call(3, wait_any_registers(small_data + 2048, 2, far)));
    const auto rung = entries[0].semaphore;
    threads[4] = MUST(process.start_call(4, signal_and_wait_registers(rung, sleep, never)));
    sleep_for(milliseconds(20));
    threads[5] = MUST(process.start_call(5, signal_and_wait_registers(rung, sleep, far)));
    sleep_for(milliseconds(20));
    EXPECT_OK(process.process().remove_kill(3));
    expect_end(test, subject, abi::EndReason::killed, 3, "kill in waits");
    for (const Semaphore& semaphore : semaphores) {
        EXPECT_EQ(MUST(semaphore.get_state()).value, 0u);
        EXPECT_OK(signal(semaphore));
        EXPECT_EQ(MUST(semaphore.get_state()).value, 1u);
        EXPECT_OK(wait_for(semaphore, Deadline::poll()));
    }
}

TEST(kill_calling, "a client is killed while queued, taken, and waiting for a slot") {
    auto subject = MUST(make_subject(test, 64));
    const SmallProcess& process = subject.process;
    const auto table = MUST(test.budget().create_table(4, 0, MemoryReference(), 0));
    const auto served = MUST(table.create_object(1, abi::all_rights, 0));
    const abi::Handle object = MUST(process.lend(served));
    constexpr uint64_t ask = abi::operation_word(abi::Verb::get, 3);
    std::array<Thread, 4> threads;  // a client gets half of the slots
    for (unsigned i = 0; i < 4; ++i) {
        threads[i] = MUST(process.start_call(i, call_registers(object, ask, i)));
    }
    for (unsigned i = 0; i < 1000; ++i) {
        const auto state = MUST(table.get_state());
        if (state.queued == 2 && state.clients == 2) break;
        sleep_for(milliseconds(1));
    }
    EXPECT_EQ(MUST(table.get_state()).clients, 2u);
    const auto taken = system::reply_and_wait(table.value(), 0, {}, abi::deadline_poll);
    EXPECT_OK(taken.status);
    EXPECT_OK(process.process().remove_kill(8));
    expect_end(test, subject, abi::EndReason::killed, 8, "kill in calls");
    const auto state = MUST(table.get_state());
    EXPECT_EQ(state.clients, 0u);
    EXPECT_EQ(state.queued, 0u);
    EXPECT_EQ(state.orphans, 1u);
    const auto late = system::reply_and_wait(table.value(), taken.request, {}, abi::deadline_poll,
                                             abi::reply_only);
    EXPECT((late.status.detail() & abi::delivery_client_gone) != 0);
    EXPECT_EQ(MUST(table.get_state()).free, 4u);
}

TEST(kill_serving,
     "a server is killed while it waits for requests; its table dies with its handles") {
    auto subject = MUST(make_subject(test, 64));
    const SmallProcess& process = subject.process;
    auto table = MUST(test.budget().create_table(2, 0, MemoryReference(), 0));
    const auto served = MUST(table.create_object(1, abi::all_rights, 0));
    const auto died =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    EXPECT_OK(served.watch_server_death(died));
    const abi::Handle there = MUST(process.process().share_install(std::move(table)));
    const auto first = MUST(process.start_call(0, serve_registers(there, abi::deadline_never)));
    const auto second =
        MUST(process.start_call(1, serve_registers(there, Deadline::after(seconds(100)).at)));
    sleep_for(milliseconds(10));
    EXPECT_OK(process.process().remove_kill(8));
    expect_end(test, subject, abi::EndReason::killed, 8, "kill a server");
    EXPECT_OK(wait_for(died, soon()));
    constexpr uint64_t ask = abi::operation_word(abi::Verb::get, 3);
    EXPECT_ERROR(system::call_words(served.value(), ask).status, Error::server_died);
}

TEST(kill_thread_waiting, "one thread is killed in its wait and the others go on") {
    auto subject = MUST(make_subject(test, 64));
    const SmallProcess& process = subject.process;
    const auto semaphore =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    const abi::Handle sleep = MUST(process.lend(semaphore));
    const auto doomed = MUST(process.start_call(0, wait_registers(sleep, abi::deadline_never)));
    sleep_for(milliseconds(5));
    const auto other = MUST(process.start_call(1, wait_registers(sleep, abi::deadline_never)));
    sleep_for(milliseconds(5));
    EXPECT_OK(doomed.remove_kill(9));
    EXPECT_OK(signal(semaphore));  // goes to the one that lives
    expect_end(test, subject, abi::EndReason::exited, 0, "the other thread exits with ok");
    EXPECT_EQ(MUST(doomed.get_state()).reason, abi::EndReason::killed);
    EXPECT_EQ(MUST(doomed.get_state()).exit_code, 9u);
    EXPECT_EQ(MUST(other.get_state()).reason, abi::EndReason::exited);
}

TEST(withheld_time, "a process that is not given the cycle counter faults when it reads it") {
    const auto code = MUST(make_small_code(test.budget()));
    for (const uint64_t withhold : {0, 1}) {
        const auto ended =
            MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
        const auto process = MUST(SmallProcess::create(test.budget(), code, 16, withhold));
        EXPECT_OK(process.process().watch_exit(ended));
        const auto thread = MUST(process.start(small_read_time));
        EXPECT_OK(wait_for(ended, soon()));
        EXPECT_EQ(MUST(process.process().get_state()).reason,
                  withhold == 1 ? abi::EndReason::faulted : abi::EndReason::exited);
    }
}

TEST(dropped, "a process that runs goes on when its handle is closed, and ends in its own time") {
    const auto ended =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    const auto gate =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    {
        auto subject = MUST(make_subject(test));
        EXPECT_OK(subject.process.process().watch_exit(ended));
        const abi::Handle there = MUST(subject.process.lend(gate));
        const auto thread =
            MUST(subject.process.start_call(0, wait_registers(there, abi::deadline_never)));
    }
    EXPECT_ERROR(wait_for(ended, Deadline::after(milliseconds(20))), Error::timed_out);
    EXPECT_OK(signal(gate));
    EXPECT_OK(wait_for(ended, soon()));
}

TEST(kills_itself,
     "a process that kills itself was killed, with its code, and all its threads too") {
    auto subject = MUST(make_subject(test));
    SmallProcess& process = subject.process;
    const auto gate =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    const abi::Handle there = MUST(process.lend(gate));
    const abi::Handle itself = MUST(process.lend(process.process()));
    const auto other = MUST(process.start_call(0, wait_registers(there, abi::deadline_never)));
    const auto spinning = MUST(process.start(small_spin));
    constexpr uint64_t kill = abi::operation_word(abi::Verb::remove, 0);
    const auto killer = MUST(process.start_call(1, call_registers(itself, kill, 77)));
    expect_end(test, subject, abi::EndReason::killed, 77, "it says what its code was");
    for (const Thread* thread : {&other, &spinning, &killer}) {
        EXPECT_EQ(MUST(thread->get_state()).reason, abi::EndReason::killed);
        EXPECT_EQ(MUST(thread->get_state()).exit_code, 77u);
    }
}

TEST(destroyed_above, "a thread that misses what a budget above its own paid for does not fault") {
    const auto code = MUST(make_small_code(test.budget()));
    for (unsigned round = 0; round < 30 && !test.failed(); ++round) {
        auto limits = usual_limits();
        amount(limits, abi::Resource::pages) = 3000;
        const auto above = MUST(test.budget().create_budget(limits));
        amount(limits, abi::Resource::pages) = 50;
        for (uint64_t& some : limits.amount) some /= 2;
        amount(limits, abi::Resource::reserved_pages) = 2000;
        const auto below = MUST(above.create_budget(limits));
        const auto memory = MUST(above.create_memory(1500, abi::memory_on_demand));
        const auto process = MUST(SmallProcess::create(below, code));
        const auto faulted =
            MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
        const auto done =
            MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
        EXPECT_OK(process.process().watch_fault(faulted));
        EXPECT_OK(process.process().map(memory, 0, 1500 * abi::page_size, 0x1000000,
                                        abi::map_read | abi::map_write | abi::map_fixed));
        const auto thread = MUST(process.start(small_walk, 0x1000000));
        sleep_for(microseconds(100 + 50 * round));
        EXPECT_OK(above.remove_destroy(done));
        EXPECT_OK(wait_for(done, soon()));
        EXPECT_ERROR(wait_for(faulted, Deadline::poll()), Error::timed_out);
    }
}

TEST(many_handles, "a process may have 65536 handle slots, uses each, and pays for them exactly") {
    auto limits = usual_limits();
    amount(limits, abi::Resource::handles) = abi::process_handles_max;
    const auto budget = MUST(test.budget().create_budget(limits));
    const auto before = settled_ledger(budget);
    {
        const auto process = MUST(budget.create_process(abi::process_handles_max, 0));
        EXPECT_EQ(used(MUST(budget.get_ledger()), abi::Resource::handles),
                  abi::process_handles_max);
        const auto semaphore =
            MUST(budget.create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
        // Slot 0 is never used.
        for (unsigned slot = 1; slot < abi::process_handles_max && !test.failed(); ++slot) {
            auto copy = MUST(semaphore.get_duplicate(abi::all_rights, 0));
            EXPECT_EQ(abi::slot_of(MUST(process.share_install(std::move(copy.handle)))), slot);
        }
        auto beyond = MUST(semaphore.get_duplicate(abi::all_rights, 0));
        EXPECT_ERROR(process.share_install(std::move(beyond.handle)), Error::no_room);
        EXPECT_ERROR(budget.create_process(16, 0), Error::no_budget);
    }
    expect_returned(test, budget, before, "the process's budget");
}
