// SPDX-License-Identifier: MIT
// The runtime's semaphore set by itself, and the executor under load from all CPUs.

#include "runtime/coroutine/executor.h"
#include "runtime/semaphore.h"
#include "runtime/semaphore_set.h"
#include "tests/guest/table_bench.h"
#include "tests/guest/threads.h"

#include <array>

namespace annulus::test::cases {
namespace {

Result<Semaphore> make_semaphore(const Context& test, uint64_t mode = 0) {
    return test.budget().create_semaphore(mode, 0, MemoryReference(), 0);
}

}  // namespace
}  // namespace annulus::test::cases

TEST(typed_set, "the runtime's set answers events by key, one or many") {
    const auto set = MUST(SemaphoreSet::create(test.budget(), 3));
    Semaphore a = MUST(make_semaphore(test));
    const Semaphore b = MUST(make_semaphore(test, abi::semaphore_sequence));
    EXPECT_OK(set.add(a, 1));
    EXPECT_OK(set.add(b, 2));
    EXPECT_ERROR(set.wait(Deadline::poll()), Error::timed_out);
    EXPECT_OK(signal(b));
    const auto event = MUST(set.wait());
    EXPECT_EQ(event.key, 2);
    EXPECT_EQ(event.value, 1);
    EXPECT(!event.closed);
    EXPECT_OK(signal(a, 2));
    std::array<abi::SetEvent, 8> events;
    EXPECT_EQ(MUST(set.wait(events, Deadline::poll())), 2);
    EXPECT_OK(set.remove(b));
    a.close();
    EXPECT(MUST(set.wait()).closed);
}

TEST(stress, "one executor serves clients on all CPUs and a timer, and loses nothing") {
    auto executor = MUST(Executor::create({.slots = 4}));
    Requests requests(*executor);
    const Served object = MUST(requests.make_object());
    const Semaphore units = MUST(make_semaphore(test));
    EventSource source(*executor);
    EXPECT_OK(source.attach(units));
    constexpr unsigned clients = 3;
    constexpr uint64_t rounds = 2'000;
    uint64_t served = 0;
    uint64_t taken = 0;
    uint64_t ticks = 0;
    const auto finish = [&] {
        if (served == clients * rounds && taken == rounds) executor->stop();
    };
    const auto serve = [&]() -> Task<void> {
        for (;;) {
            Incoming request = CO_TRY(co_await requests.next());
            request.reply(Answer::with_words(request.word(0)));
            ++served;
            finish();
        }
    };
    const auto take = [&]() -> Task<void> {
        for (;;) {
            CO_TRY(co_await source.wait());
            ++taken;
            finish();
        }
    };
    const auto tick = [&]() -> Task<void> {
        for (;; ++ticks) co_await executor->sleep_until(Deadline::after(microseconds(200)));
    };
    TaskScope scope;
    for (unsigned i = 0; i < 2; ++i) EXPECT_OK(scope.spawn(serve()));
    EXPECT_OK(scope.spawn(take()));
    EXPECT_OK(scope.spawn(tick()));
    Crew<clients + 1> crew;
    for (unsigned i = 0; i < clients; ++i) {
        EXPECT_OK(crew.add([&, i] {
            for (uint64_t k = 0; k < rounds; ++k) {
                const auto answer = system::call_words(object.value(), op_get, k * clients + i);
                EXPECT_OK(answer.status);
                EXPECT_EQ(answer.words[0], k * clients + i);
                if (test.failed()) return;
            }
        }));
    }
    EXPECT_OK(crew.add([&] {
        for (uint64_t k = 0; k < rounds; ++k) EXPECT_OK(signal(units));
    }));
    EXPECT_OK(executor->run());
    EXPECT_OK(crew.join());
    EXPECT_EQ(served, clients * rounds);
    EXPECT_EQ(taken, rounds);
    report_count("ticks", ticks);
}
