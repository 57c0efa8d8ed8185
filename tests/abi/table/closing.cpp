// SPDX-License-Identifier: MIT
// Objects whose last handle is closed by one thread while others use it: what was merely looked up
// may be ending, on another CPU, and must not be reached any more.
#include "tests/abi/table/bench.h"
#include "tests/guest/ledger.h"

#include <atomic>
#include <memory>

namespace annulus::test::cases {
namespace {

constexpr unsigned many = 4'000;

// An object again and again, under a handle of its own each time. Now and then the others have
// time to use it, also where there is one CPU.
template <typename Make>
Result<void> make_and_close(Context& test, unsigned rounds, Make make,
                            std::atomic<abi::Handle>& handle) {
    const auto never = TRY(make_semaphore(test));
    for (uint64_t i = 1; i <= rounds; ++i) {
        const auto made = TRY(make(i));
        handle = made.value();
        for (unsigned j = 0; j < i % 32; ++j) static_cast<void>(handle.load());
        if (i % 64 == 0) static_cast<void>(wait_for(never, Deadline::after(milliseconds(2))));
    }
    return {};
}

// Two threads use what is made and closed again and again. In the end all of it is given back,
// once.
template <typename Make, typename Use>
void use_while_closed(Context& test, unsigned rounds, Make make, Use use) {
    const abi::BudgetLedger before = settled_ledger(test.budget());
    std::atomic<abi::Handle> handle{abi::no_handle};
    std::atomic<bool> over{false};
    std::atomic<uint64_t> used{0};
    Crew<2> crew;
    for (unsigned i = 0; i < 2; ++i) {
        EXPECT_OK(crew.add([&] {
            while (!over) used += use(handle.load()).ok() ? 1 : 0;
        }));
    }
    EXPECT_OK(make_and_close(test, rounds, make, handle));
    over = true;
    EXPECT_OK(crew.join());
    EXPECT(used > 0);
    expect_returned(test, test.budget(), before, "what was closed while it was used");
}

}  // namespace
}  // namespace annulus::test::cases

TEST(closed_while_called,
     "a call whose object is just being closed does not come after its notice") {
    const auto bench = MUST(TableBench::create(test, 4));
    const auto told = MUST(make_semaphore(test));
    std::atomic<abi::Handle> handle{abi::no_handle};
    std::atomic<bool> over{false};
    // By the one server thread alone.
    const std::unique_ptr<bool[]> closed(new bool[many + 1]());
    uint64_t late = 0;
    uint64_t requests = 0;
    Crew<4> crew;
    EXPECT_OK(crew.add([&] {
        uint64_t request = 0;
        for (;;) {
            const auto next =
                system::reply_and_wait(bench.table.value(), request, {}, abi::deadline_never);
            if (!next.status.ok()) return;
            request = next.request;
            if (is_close(next)) {
                late += closed[next.cookie - bench_cookie] ? 1 : 0;
                closed[next.cookie - bench_cookie] = true;
                continue;
            }
            late += closed[next.cookie - bench_cookie] ? 1 : 0;
            ++requests;
        }
    }));
    for (unsigned i = 0; i < 2; ++i) {
        EXPECT_OK(crew.add([&] {
            while (!over) system::call_words(handle.load(), op_get);
        }));
    }
    // Who is told of the server's death must not hang on an object that has gone.
    EXPECT_OK(crew.add([&] {
        while (!over) {
            static_cast<void>(ServedReference(handle.load()).watch_server_death(told));
        }
    }));
    EXPECT_OK(make_and_close(
        test, many,
        [&](uint64_t i) { return bench.table.create_object(bench_cookie + i, abi::all_rights, 0); },
        handle));
    over = true;
    EXPECT_OK(bench.table.shutdown_fault(0));
    EXPECT_OK(crew.join());
    EXPECT_EQ(late, 0u);
    EXPECT(requests > 0);
}

TEST(closed_while_armed, "a timer that is just being closed is not armed") {
    const auto semaphore = MUST(make_semaphore(test));
    use_while_closed(
        test, many, [&](uint64_t) { return test.budget().create_timer(semaphore); },
        [](abi::Handle timer) {
            return TimerReference(timer).set_arm(now() + 20'000, 0).status();
        });
}

TEST(closed_while_killed, "a process that is just being closed is ended once") {
    // They are taken apart in the background, and while they are their handles' slots are charged.
    use_while_closed(
        test, many / 8, [&](uint64_t) { return test.budget().create_process(16, 0); },
        [](abi::Handle process) { return ProcessReference(process).remove_kill(0).status(); });
}

TEST(closed_while_destroyed, "a budget that is just being closed is destroyed once") {
    abi::BudgetLimits limits = {};
    limits.cpu_weight = 1;
    limits.priority_ceiling = 1;
    use_while_closed(
        test, many, [&](uint64_t) { return test.budget().create_budget(limits); },
        [](abi::Handle budget) { return BudgetReference(budget).remove_destroy({}).status(); });
}

TEST(closed_while_bound, "memory that is just being closed gets no semaphore's word") {
    use_while_closed(
        test, many, [&](uint64_t) { return test.budget().create_memory(1, 0); },
        [&](abi::Handle memory) {
            return test.budget()
                .create_semaphore(abi::semaphore_counting, 0, MemoryReference(memory), 0)
                .status();
        });
}
