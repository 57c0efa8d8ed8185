// SPDX-License-Identifier: MIT
// Timers that come late: a call's deadline passes while its answer is on the way, and the client
// has begun another wait when the timer gets there.

#include "runtime/clock.h"
#include "tests/abi/table/bench.h"

namespace annulus::test::cases {
namespace {

constexpr unsigned pairs = 2;
constexpr unsigned rounds = 2000;
constexpr Duration patience = microseconds(200);

// Answers at the time that the request names, if any: this wait's timer and the client's are due
// at about the same time.
void answer_in_time(TableReference table, SemaphoreReference never) {
    serve(table.value(), [&](const system::Delivery& request) -> system::Reply {
        const uint64_t at = request.words[0];
        if (at != 0) static_cast<void>(system::wait(never.value(), 0, at));
        return {};
    });
}

struct Outcomes {
    std::atomic<uint64_t> answered{0}, late{0}, wrong{0};
};

// True if a call whose deadline is `at` ended as it may.
bool ended(Outcomes& outcomes, Status status) {
    (status.ok() ? outcomes.answered : outcomes.late).fetch_add(1);
    return status.ok() || status.code() == Error::timed_out ||
           status.code() == Error::unknown_outcome;
}

}  // namespace
}  // namespace annulus::test::cases

TEST(late_timers, "a deadline that comes with the answer does not end the next call") {
    const auto bench = MUST(TableBench::create(test, 4 * pairs));
    const auto never = MUST(make_semaphore(test));
    Outcomes outcomes;
    Crew<pairs> servers;
    for (unsigned i = 0; i < pairs; ++i) {
        EXPECT_OK(servers.add([&] { answer_in_time(bench.table, never); }));
    }
    Crew<pairs> clients;
    for (unsigned i = 0; i < pairs; ++i) {
        EXPECT_OK(clients.add([&] {
            for (unsigned round = 0; round < rounds; ++round) {
                const uint64_t at = now() + patience.nanoseconds;
                const uint64_t answered_at = at - round % 64 * 2000;
                bool right = ended(outcomes, call(bench.object, op_get, answered_at, at).status);
                right &= call(bench.object, op_get).status.ok();
                if (!right) outcomes.wrong.fetch_add(1);
            }
        }));
    }
    EXPECT_OK(clients.join());
    EXPECT_EQ(outcomes.wrong.load(), 0);
    report_count("calls answered before their timer", outcomes.answered.load());
    report_count("calls ended by their timer", outcomes.late.load());
    EXPECT_OK(bench.table.shutdown_fault(0));
    EXPECT_OK(servers.join());
}
