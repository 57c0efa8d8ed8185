// SPDX-License-Identifier: MIT
// The executor: servers written as coroutines, over requests, events and deadlines.

#include "abi/operations.h"
#include "runtime/clock.h"
#include "runtime/coroutine/executor.h"
#include "runtime/semaphore.h"
#include "tests/guest/ledger.h"
#include "tests/guest/table_bench.h"
#include "tests/guest/threads.h"

#include <string.h>

#include <array>
#include <optional>

const char* const annulus::test::suite = "executor";

namespace annulus::test::cases {
namespace {

constexpr uint64_t op_write = abi::operation_word(abi::Verb::write, 1);

Result<Semaphore> make_semaphore(const Context& test, uint64_t mode = 0) {
    return test.budget().create_semaphore(mode, 0, MemoryReference(), 0);
}

// Adds one to word 0, until nobody holds the object.
Task<void> add_one(Executor& executor, Requests& requests) {
    for (;;) {
        auto request = co_await requests.next();
        if (request.error() == Error::closed) break;
        Incoming incoming = CO_TRY(std::move(request));
        incoming.reply(Answer::with_words(incoming.word(0) + 1));
    }
    executor.stop();
    co_return {};
}

Task<uint64_t> take_units(EventSource& source, unsigned count) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; ++i) {
        CO_TRY(co_await source.wait());
        ++sum;
    }
    co_return sum;
}

// Notes when it is destroyed.
struct Mark {
    explicit Mark(unsigned& count) : count(count) {}
    Mark(const Mark&) = delete;
    ~Mark() { ++count; }
    unsigned& count;
};

}  // namespace
}  // namespace annulus::test::cases

TEST(requests, "a server in one coroutine answers a client, and ends with its object") {
    abi::BudgetLedger before = {};
    for (unsigned round = 0; round < 2; ++round) {
        // The first round lets the heap grow.
        if (round == 1) before = settled_ledger(test.budget());
        auto executor = MUST(Executor::create());
        Requests requests(*executor);
        Served object = MUST(requests.make_object());
        TaskScope scope;
        EXPECT_OK(scope.spawn(add_one(*executor, requests)));
        auto client = MUST(start_thread([&] {
            for (uint64_t i = 0; i < 5'000; ++i) {
                const auto answer = system::call_words(object.value(), op_get, i);
                EXPECT_OK(answer.status);
                EXPECT_EQ(answer.words[0], i + 1);
                if (test.failed()) break;
            }
            object.close();
        }));
        EXPECT_OK(executor->run());
        EXPECT_OK(client.join());
        EXPECT_EQ(scope.running(), 0);
        EXPECT_OK(scope.failure());
    }
    expect_returned(test, test.budget(), before, "an executor", 16);
}

TEST(out_of_order, "requests are answered later, in any order, by the task that holds them") {
    auto executor = MUST(Executor::create({.slots = 8}));
    Requests requests(*executor);
    const Served object = MUST(requests.make_object());
    const auto collect = [](Executor& executor, Requests& requests) -> Task<void> {
        Incoming first = CO_TRY(co_await requests.next());
        Incoming second = CO_TRY(co_await requests.next());
        Incoming third = CO_TRY(co_await requests.next());
        first.reply(Answer::later());  // it is still in hand
        third.reply(Answer::with_words(3));
        third.reply(Answer::with_words(99));  // it is answered already
        first.reply(Answer::with_words(1));
        executor.stop();
        co_return {};  // the second one is dropped
    };
    TaskScope scope;
    EXPECT_OK(scope.spawn(collect(*executor, requests)));
    std::atomic<uint64_t> sum = 0;
    std::atomic<unsigned> cancelled = 0;
    Crew<3> clients;
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_OK(clients.add([&] {
            const auto answer = system::call_words(object.value(), op_get);
            if (answer.status.ok()) sum.fetch_add(answer.words[0]);
            if (answer.status.code() == Error::cancelled) cancelled.fetch_add(1);
        }));
    }
    EXPECT_OK(executor->run());
    EXPECT_OK(clients.join());
    EXPECT_EQ(sum.load(), 4);
    EXPECT_EQ(cancelled.load(), 1);
}

TEST(late_handles, "a handle that a killed client was to get is closed without another request") {
    auto executor = MUST(Executor::create());
    Requests requests(*executor);
    Requests given(*executor);
    const Served object = MUST(requests.make_object());
    const auto may_kill = MUST(make_semaphore(test));
    std::optional<RunningThread> client;
    Status seen;
    const auto give = [&](Executor& own) -> Task<void> {
        Incoming incoming = CO_TRY(co_await requests.next());
        CO_TRY(wait_for(may_kill));
        CO_TRY(kill_and_join(*client));
        Served handle = CO_TRY(given.make_object());
        incoming.reply(Answer::with_handle(std::move(handle)));
        seen = (co_await given.next(Deadline::after(seconds(2)))).status();
        own.stop();
        co_return {};
    };
    TaskScope scope;
    EXPECT_OK(scope.spawn(give(*executor)));
    client.emplace(MUST(start_thread(
        [&object] { static_cast<void>(system::call_words(object.value(), op_get)); })));
    EXPECT_OK(signal(may_kill));
    EXPECT_OK(executor->run());
    EXPECT_OK(scope.failure());
    EXPECT_ERROR(seen, Error::closed);
}

TEST(untaken_handles, "a handle that a task does not take is closed with its answer, once") {
    // One slot: the second request lies where the first one lay.
    auto executor = MUST(Executor::create({.slots = 1}));
    Requests requests(*executor);
    const Served object = MUST(requests.make_object());
    Semaphore first = MUST(make_semaphore(test));
    Semaphore second = MUST(make_semaphore(test));
    EventSource first_ended(*executor);
    EXPECT_OK(first_ended.attach(first));
    const auto serve = [&]() -> Task<void> {
        Incoming one = CO_TRY(co_await requests.next());
        one.reply({});
        EXPECT_ERROR(co_await first_ended.wait(Deadline::after(seconds(2))), Error::closed);
        Incoming two = CO_TRY(co_await requests.next());
        {
            const Incoming gone = std::move(one);
        }
        const Semaphore taken = two.take_handle<Semaphore>(0);
        two.reply({});
        EXPECT_OK(taken.get_state());
        executor->stop();
        co_return {};
    };
    TaskScope scope;
    EXPECT_OK(scope.spawn(serve()));
    auto client = MUST(start_thread([&] {
        constexpr uint64_t share = abi::operation_word(abi::Verb::share, 0, 1);
        EXPECT_OK(system::call_words(object.value(), share, first.release()).status);
        EXPECT_OK(system::call_words(object.value(), share, second.release()).status);
    }));
    EXPECT_OK(executor->run());
    EXPECT_OK(client.join());
    EXPECT_OK(scope.failure());
}

TEST(kept, "requests that nobody waits for are kept, and told before the end of their objects") {
    auto executor = MUST(Executor::create({.slots = 4}));
    Requests requests(*executor);
    Served object = MUST(requests.make_object());
    uint64_t sum = 0;
    const auto serve = [&]() -> Task<void> {
        co_await executor->sleep_until(Deadline::after(milliseconds(20)));
        for (unsigned i = 0; i < 3; ++i) {
            Incoming request = CO_TRY(co_await requests.next());
            sum += request.word(0);
            request.reply({});
        }
        EXPECT_ERROR(co_await requests.next(), Error::closed);
        EXPECT_ERROR(co_await requests.next(), Error::closed);
        // The next object is a new beginning.
        Served again = CO_TRY(requests.make_object());
        EXPECT_ERROR(co_await requests.next(Deadline::poll()), Error::timed_out);
        again.close();
        EXPECT_ERROR(co_await requests.next(), Error::closed);
        executor->stop();
        co_return {};
    };
    TaskScope scope;
    EXPECT_OK(scope.spawn(serve()));
    Crew<3> clients;
    std::atomic<unsigned> left = 3;
    for (uint64_t i = 0; i < 3; ++i) {
        EXPECT_OK(clients.add([&, i] {
            EXPECT_OK(system::call_words(object.value(), op_get, uint64_t{1} << 8 * i).status);
            // Acquire and release: the others are done with the handle.
            if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) object.close();
        }));
    }
    EXPECT_OK(executor->run());
    EXPECT_OK(clients.join());
    EXPECT_EQ(sum, 0x10101);
    EXPECT_OK(scope.failure());
}

TEST(no_time, "a task that asks for no time again and again keeps nobody else waiting") {
    EXPECT_OK(on_one_cpu([&] {
        auto executor = MUST(Executor::create());
        std::optional<Requests> requests;
        requests.emplace(*executor);
        Served object = MUST(requests->make_object());
        const uint64_t too_late = now() + seconds(4).nanoseconds;
        uint64_t turns = 0;
        const auto busy = [&]() -> Task<void> {
            for (; now() < too_late; ++turns) co_await executor->sleep_until(Deadline::poll());
            executor->stop();
            co_return {};
        };
        TaskScope scope;
        EXPECT_OK(scope.spawn(busy()));
        EXPECT_OK(scope.spawn(add_one(*executor, *requests)));
        const auto call = [&] {
            for (uint64_t i = 0; i < 100; ++i) {
                const auto answer = system::call_words(object.value(), op_get, i);
                if (!answer.status.ok()) return;
                EXPECT_EQ(answer.words[0], i + 1);
            }
            object.close();
        };
        auto client = MUST(start_thread(call, eager));
        EXPECT_OK(executor->run());
        EXPECT(now() < too_late);
        EXPECT(turns > 0);
        scope.cancel();
        requests.reset();
        executor.reset();  // a client that still waits hears it
        EXPECT_OK(client.join());
    }));
}

TEST(bytes, "a task reads a request's bytes and answers with bytes") {
    auto executor = MUST(Executor::create({.slots = 2, .block_bytes = 64}));
    Requests requests(*executor);
    const Served object = MUST(requests.make_object());
    const auto echo = [](Executor& executor, Requests& requests) -> Task<void> {
        for (unsigned i = 0; i < 2; ++i) {
            Incoming request = CO_TRY(co_await requests.next());
            // The second answer is more than the client has room for.
            request.reply(Answer::with_bytes(request.bytes().size() + 100 * i));
        }
        executor.stop();
        co_return {};
    };
    TaskScope scope;
    EXPECT_OK(scope.spawn(echo(*executor, requests)));
    auto client = MUST(start_thread([&] {
        char text[] = "hello";
        const system::Buffer buffer = {text, sizeof(text), sizeof(text)};
        const auto answer = system::call_buffer(object.value(), op_write, buffer);
        EXPECT_OK(answer.status);
        EXPECT_EQ(answer.bytes_out, sizeof(text));
        EXPECT_EQ(memcmp(text, "hello", sizeof(text)), 0);
        EXPECT_ERROR(system::call_buffer(object.value(), op_write, buffer).status, Error::faulted);
    }));
    EXPECT_OK(executor->run());
    EXPECT_OK(client.join());
}

TEST(events, "tasks wait for semaphores, channel ends and deadlines beside each other") {
    auto executor = MUST(Executor::create());
    const Semaphore units = MUST(make_semaphore(test));
    const Semaphore sequence = MUST(make_semaphore(test, abi::semaphore_sequence));
    const Memory memory = MUST(test.budget().create_memory(1, 0));
    const auto ends = MUST(test.budget().create_channel(memory, 0, abi::page_size, 7, 1));
    EventSource from_units(*executor);
    EventSource from_sequence(*executor);
    EventSource from_end(*executor);
    EXPECT_OK(from_units.attach(units));
    EXPECT_ERROR(from_units.attach(units), Error::busy);
    EXPECT_OK(from_sequence.attach(sequence));
    EXPECT_OK(from_end.attach(ends.first));
    uint64_t sum = 0;
    uint64_t value = 0;
    bool rung = false;
    const auto add = [&]() -> Task<void> {
        sum = CO_TRY(co_await take_units(from_units, 3));
        co_return {};
    };
    const auto follow = [&]() -> Task<void> {
        value = CO_TRY(co_await from_sequence.wait());
        co_return {};
    };
    const auto hear = [&]() -> Task<void> {
        CO_TRY(co_await from_end.wait());
        rung = true;
        co_return {};
    };
    const auto stop = [&]() -> Task<void> {
        co_await executor->sleep_until(Deadline::after(milliseconds(30)));
        executor->stop();
        co_return {};
    };
    TaskScope scope;
    EXPECT_OK(scope.spawn(add()));
    EXPECT_OK(scope.spawn(follow()));
    EXPECT_OK(scope.spawn(hear()));
    EXPECT_OK(scope.spawn(stop()));
    auto source = MUST(start_thread([&] {
        EXPECT_OK(signal(units, 2));
        EXPECT_OK(signal(sequence));
        EXPECT_OK(system::signal(ends.second.value()));
        EXPECT_OK(signal(units));
    }));
    EXPECT_OK(executor->run());
    EXPECT_OK(source.join());
    EXPECT_EQ(sum, 3);
    EXPECT_EQ(value, 1);
    EXPECT(rung);
    EXPECT_EQ(scope.running(), 0);
}

TEST(deadlines, "waits end at their deadlines, in order, and what came before counts") {
    auto executor = MUST(Executor::create());
    const Semaphore never = MUST(make_semaphore(test));
    EventSource source(*executor);
    EXPECT_OK(source.attach(never));
    std::array<unsigned, 5> order = {};
    unsigned next = 0;
    const uint64_t begin = now();
    const auto wait = [&](unsigned which, uint64_t delay) -> Task<void> {
        const auto waited = co_await source.wait(later(begin, milliseconds(delay)));
        EXPECT_ERROR(waited, Error::timed_out);
        EXPECT(now() >= begin + milliseconds(delay).nanoseconds);
        order[next++] = which;
        if (next == 5) executor->stop();
        co_return {};
    };
    TaskScope scope;
    constexpr uint64_t delays[] = {9, 3, 12, 1, 6};
    for (unsigned i = 0; i < 5; ++i) EXPECT_OK(scope.spawn(wait(i, delays[i])));
    EXPECT_OK(executor->run());
    constexpr unsigned wanted[] = {3, 1, 4, 0, 2};
    for (unsigned i = 0; i < 5; ++i) EXPECT_EQ(order[i], wanted[i]);
}

TEST(cancelled, "a scope that ends takes its tasks with it, wherever they wait") {
    auto executor = MUST(Executor::create());
    const Semaphore semaphore = MUST(make_semaphore(test));
    EventSource source(*executor);
    Requests requests(*executor);
    EXPECT_OK(source.attach(semaphore));
    const Served object = MUST(requests.make_object());
    unsigned ended = 0;
    const auto wait_inside = [&]() -> Task<void> {
        const Mark mark(ended);
        CO_TRY(co_await source.wait(Deadline::after(seconds(100))));
        co_return {};
    };
    const auto wait_outside = [&]() -> Task<void> {
        const Mark mark(ended);
        CO_TRY(co_await wait_inside());
        co_return {};
    };
    const auto wait_request = [&]() -> Task<void> {
        const Mark mark(ended);
        CO_TRY(co_await requests.next());
        co_return {};
    };
    const auto sleep = [&]() -> Task<void> {
        const Mark mark(ended);
        co_await executor->sleep_until(Deadline::after(seconds(100)));
        co_return {};
    };
    {
        TaskScope scope;
        EXPECT_OK(scope.spawn(wait_outside()));
        EXPECT_OK(scope.spawn(wait_request()));
        EXPECT_OK(scope.spawn(sleep()));
        EXPECT_EQ(scope.running(), 3);
        EXPECT_EQ(ended, 0);
    }
    EXPECT_EQ(ended, 4);
    // What they waited for works for others.
    EXPECT_OK(signal(semaphore));
    const auto last = [&]() -> Task<void> {
        CO_TRY(co_await source.wait());
        executor->stop();
        co_return {};
    };
    TaskScope scope;
    EXPECT_OK(scope.spawn(last()));
    EXPECT_OK(executor->run());
    EXPECT_EQ(scope.running(), 0);
}

TEST(closed_source, "a task hears of the end of what it waits for") {
    auto executor = MUST(Executor::create());
    Semaphore semaphore = MUST(make_semaphore(test));
    EventSource source(*executor);
    EXPECT_OK(source.attach(semaphore));
    semaphore.close();
    const auto wait = [&]() -> Task<void> {
        EXPECT_ERROR(co_await source.wait(), Error::closed);
        EXPECT_ERROR(co_await source.wait(), Error::closed);
        executor->stop();
        co_return {};
    };
    unsigned told = 0;
    const auto also = [&]() -> Task<void> {
        EXPECT_ERROR(co_await source.wait(), Error::closed);
        ++told;
        co_return {};
    };
    TaskScope scope;
    for (unsigned i = 0; i < 3; ++i) EXPECT_OK(scope.spawn(also()));
    EXPECT_OK(scope.spawn(wait()));
    EXPECT_OK(executor->run());
    EXPECT_EQ(told, 3);
    EXPECT_EQ(scope.running(), 0);
}

TEST(closed_and_cancelled, "who hears an end may end another task that waits for the same") {
    auto executor = MUST(Executor::create());
    Semaphore semaphore = MUST(make_semaphore(test));
    EventSource source(*executor);
    EXPECT_OK(source.attach(semaphore));
    unsigned ended = 0;
    bool told = false;
    std::optional<TaskScope> others;
    const auto first = [&]() -> Task<void> {
        EXPECT_ERROR(co_await source.wait(), Error::closed);
        others.reset();
        EXPECT_EQ(ended, 2);
        executor->stop();
        co_return {};
    };
    const auto other = [&](Deadline deadline) -> Task<void> {
        const Mark mark(ended);
        static_cast<void>(co_await source.wait(deadline));
        told = true;
        co_return {};
    };
    TaskScope scope;
    EXPECT_OK(scope.spawn(first()));
    others.emplace();
    EXPECT_OK(others->spawn(other(Deadline::never())));
    EXPECT_OK(others->spawn(other(Deadline::after(seconds(100)))));
    semaphore.close();
    EXPECT_OK(executor->run());
    EXPECT_EQ(ended, 2);
    EXPECT(!told);
}

TEST(dropped, "a request whose task is cancelled is answered with cancelled") {
    auto executor = MUST(Executor::create({.slots = 4}));
    std::optional<Requests> requests;
    requests.emplace(*executor);
    const Served object = MUST(requests->make_object());
    Error seen = Error::ok;
    auto client = MUST(
        start_thread([&] { seen = system::call_words(object.value(), op_get).status.code(); }));
    {
        const auto hold = [&]() -> Task<void> {
            const Incoming request = CO_TRY(co_await requests->next());
            executor->stop();
            co_await executor->sleep_until(Deadline::never());
            co_return {};
        };
        TaskScope scope;
        EXPECT_OK(scope.spawn(hold()));
        EXPECT_OK(executor->run());
        EXPECT_EQ(scope.running(), 1);
    }
    requests.reset();
    executor.reset();
    EXPECT_OK(client.join());
    EXPECT_EQ(seen, Error::cancelled);
}

TEST(stale_requests, "requests for a task that is gone are answered with closed") {
    auto executor = MUST(Executor::create({.slots = 4}));
    std::optional<Requests> gone;
    gone.emplace(*executor);
    Served object = MUST(gone->make_object());
    Requests requests(*executor);
    const Served other = MUST(requests.make_object());
    TaskScope scope;
    const auto serve = [&]() -> Task<void> {
        Incoming request = CO_TRY(co_await requests.next());
        gone.reset();
        request.reply({});
        Incoming last = CO_TRY(co_await requests.next());
        last.reply({});
        executor->stop();
        co_return {};
    };
    EXPECT_OK(scope.spawn(serve()));
    auto client = MUST(start_thread([&] {
        EXPECT_OK(system::call_words(other.value(), op_get).status);
        EXPECT_ERROR(system::call_words(object.value(), op_get).status, Error::closed);
        object.close();  // the last of it
        EXPECT_OK(system::call_words(other.value(), op_get).status);
    }));
    EXPECT_OK(executor->run());
    EXPECT_OK(client.join());
    EXPECT_EQ(scope.running(), 0);
}
