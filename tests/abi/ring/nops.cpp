// SPDX-License-Identifier: MIT
// Entries that only check a handle: the way that remembers handles, and takes a run at once.

#include "tests/abi/ring/bench.h"
#include "tests/guest/ledger.h"
#include "tests/guest/table_bench.h"
#include "tests/guest/threads.h"

namespace annulus::test::cases {
namespace {

// Submits nops with these handles at once, and compares what each ends with.
void expect_outcomes(Context& test, ClientRing& ring, std::span<const abi::Handle> handles,
                     std::span<const Error> expected) {
    uint64_t number = 0;
    for (const abi::Handle handle : handles)
        *ring.prepare() = ring_nop(number++, HandleValue(handle));
    EXPECT_EQ(MUST(ring.submit()), handles.size());
    for (uint64_t i = 0; i < handles.size(); ++i) {
        abi::CompletionEntry done = {};
        EXPECT(ring.next(done));
        EXPECT_EQ(done.user_data, i);
        EXPECT_EQ(done.code(), expected[i]);
        EXPECT_EQ(done.count, 0);
    }
}

void expect_outcome(Context& test, ClientRing& ring, abi::Handle handle, Error expected) {
    expect_outcomes(test, ring, std::span(&handle, 1), std::span(&expected, 1));
}

}  // namespace
}  // namespace annulus::test::cases

TEST(remembered_handle,
     "a handle that was checked before is checked again: closed, busy, revoked") {
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), 8));
    const auto memory = MUST(test.budget().create_memory(1, 0));
    auto closed = MUST(memory.get_duplicate(abi::all_rights, 0));
    const abi::Handle old = closed.handle.value();
    for (unsigned i = 0; i < 3; ++i) expect_outcome(test, ring, old, Error::ok);
    closed.handle.close();
    expect_outcome(test, ring, old, Error::bad_handle);
    // Its place has another generation now.
    auto next = MUST(memory.get_duplicate(abi::all_rights, 0));
    EXPECT_EQ(abi::slot_of(next.handle.value()), abi::slot_of(old));
    for (unsigned i = 0; i < 2; ++i) expect_outcome(test, ring, next.handle.value(), Error::ok);
    expect_outcome(test, ring, old, Error::bad_handle);

    const auto leased = MUST(memory.get_duplicate(abi::all_rights, abi::duplicate_revocable));
    for (unsigned i = 0; i < 2; ++i) expect_outcome(test, ring, leased.handle.value(), Error::ok);
    EXPECT_OK(memory.close_revoke(leased.lease));
    expect_outcome(test, ring, leased.handle.value(), Error::revoked);

    // In a request that nobody has taken: busy.
    auto moving = MUST(RingBench::create(test, 4));
    auto server = MUST(TableBench::create(test, 1));
    for (unsigned i = 0; i < 2; ++i) expect_outcome(test, ring, next.handle.value(), Error::ok);
    abi::SubmissionEntry give = ring_operation(server.object, abi::Verb::get, 1, 1);
    give.words[0] = next.handle.value();
    give.moved_mask = 1;
    EXPECT(!MUST(moving.begin(give)).has_value());
    expect_outcome(test, ring, next.handle.value(), Error::busy);
    EXPECT_EQ(moving.outcome(ring_cancel(1, 2)), Error::cancelled);
    expect_outcome(test, ring, next.handle.value(), Error::ok);
}

TEST(mixed_handles, "nops with different handles in one batch each get their own answer") {
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), 16));
    const auto one = MUST(test.budget().create_memory(1, 0));
    const auto two = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const abi::Handle bad = 0x7fffffff00000007;
    const abi::Handle handles[] = {one.value(), one.value(), two.value(), 0, bad, one.value(),
                                   bad,         two.value(), two.value(), 0, 0};
    const Error expected[] = {Error::ok,         Error::ok, Error::ok,         Error::ok,
                              Error::bad_handle, Error::ok, Error::bad_handle, Error::ok,
                              Error::ok,         Error::ok, Error::ok};
    for (unsigned round = 0; round < 20; ++round) expect_outcomes(test, ring, handles, expected);
}

TEST(pieces, "entries and completions in pieces are all of them, once, past the queues' ends") {
    for (const uint32_t entries : {1u, 8u, 128u, 1024u}) {
        auto ring = MUST(ClientRing::create(test.budget(), test.process(), entries));
        const abi::Handle handle = test.process().value();
        uint64_t sent = 0;
        uint64_t seen = 0;
        uint64_t wrong = 0;
        for (uint32_t round = 0; round < 60 && wrong == 0; ++round) {
            uint32_t left = 1 + round * 37 % entries;
            while (left > 0) {
                const auto places = ring.queues().prepare_some(left);
                if (places.empty()) break;
                for (auto& place : places) RingQueues::write_nop(place, sent++, handle);
                left -= static_cast<uint32_t>(places.size());
            }
            wrong += left;
            EXPECT_OK(ring.submit());
            while (seen < sent) {
                const auto done = ring.queues().ready_some();
                if (done.empty()) break;
                for (const auto& one : done) wrong += one.user_data != seen++ || !one.ok();
                ring.queues().take_some(done.size());
            }
            wrong += sent - seen;
        }
        EXPECT_EQ(wrong, 0);
        EXPECT(ring.queues().ready_some().empty());
    }
}

TEST(unread, "nops complete while earlier completions are unread, as far as there is room") {
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), 4));
    for (uint64_t i = 0; i < 3; ++i) {
        *ring.prepare() = ring_nop(i, test.process());
        EXPECT_EQ(MUST(ring.submit()), 1);
    }
    for (uint64_t i = 3; i < 6; ++i) *ring.prepare() = ring_nop(i, test.process());
    EXPECT_EQ(MUST(ring.submit()), 1);
    EXPECT_ERROR(ring.submit(), Error::try_again);
    abi::CompletionEntry done;
    for (uint64_t i = 0; i < 4; ++i) EXPECT(ring.next(done) && done.user_data == i);
    EXPECT_EQ(MUST(ring.submit()), 2);
    for (uint64_t i = 4; i < 6; ++i) EXPECT(ring.next(done) && done.user_data == i);
    EXPECT(!ring.next(done));
}

TEST(room, "as many nops are accepted as there is room, with unread completions and operations") {
    constexpr uint32_t entries = 8;
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), entries));
    uint64_t state = 88172645463325252;
    uint64_t prepared = 0;
    uint64_t accepted = 0;
    uint64_t read = 0;
    uint32_t timers = 0;
    uint64_t wrong = 0;
    for (unsigned round = 0; round < 600 && wrong == 0; ++round) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        // One more operation that takes a place and never ends, now and then.
        if (round % 200 == 199 && prepared == accepted && accepted == read) {
            *ring.prepare() = ring_timer(Deadline::never(), ~uint64_t{0});
            EXPECT_EQ(MUST(ring.submit()), 1);
            ++timers;
        }
        for (uint64_t count = state % (entries + 1); count > 0; --count) {
            abi::SubmissionEntry* entry = ring.prepare();
            if (entry == nullptr) break;
            *entry = ring_nop(prepared++, test.process());
        }
        const uint64_t places = entries - timers - (accepted - read);
        const uint64_t expected = std::min(prepared - accepted, places);
        const auto answer = ring.submit();
        if (answer.ok()) {
            wrong += *answer != expected;
        } else {
            wrong += answer.error() != Error::try_again || expected != 0 || prepared == accepted;
        }
        accepted += expected;
        abi::CompletionEntry done;
        // Until nothing is left, every second time.
        uint64_t count = round % 2 == 0 ? entries : state >> 32 & 3;
        for (; count > 0 && ring.next(done); --count) wrong += done.user_data != read++;
        wrong += ring.queues().ready() != accepted - read;
    }
    EXPECT_EQ(wrong, 0);
    EXPECT(timers > 0);
    EXPECT_EQ(MUST(ring.handle().get_state()).in_flight, timers);
}

TEST(watched_later, "a watch hears of nops, also when there were some before it") {
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), 4));
    const auto bell = MUST(test.budget().create_semaphore(abi::semaphore_binary, 0, {}, 0));
    abi::CompletionEntry done;
    for (unsigned i = 0; i < 6; ++i) {
        if (i == 3) EXPECT_OK(ring.handle().watch_completion(bell));
        *ring.prepare() = ring_nop(i, test.process());
        EXPECT_OK(ring.submit());
        EXPECT(ring.next(done));
        if (i >= 3) EXPECT_OK(wait_for(bell, Deadline::poll()));
    }
    EXPECT_ERROR(wait_for(bell, Deadline::poll()), Error::timed_out);
}

TEST(watched_wakes,
     "who waits for completions of nops and is more urgent runs before enter returns") {
    EXPECT_OK(on_one_cpu([&] {
        auto ring = MUST(ClientRing::create(test.budget(), test.process(), 4));
        const auto bell = MUST(test.budget().create_semaphore(abi::semaphore_binary, 0, {}, 0));
        EXPECT_OK(ring.handle().watch_completion(bell));
        std::atomic<unsigned> woken = 0;
        Crew<1> crew;
        EXPECT_OK(crew.add(
            [&] {
                const auto soon = Deadline::after(seconds(5));
                while (wait_for(bell, soon).ok() && woken.fetch_add(1) < 3) {
                }
            },
            eager));
        abi::CompletionEntry done;
        for (unsigned i = 1; i <= 4; ++i) {
            *ring.prepare() = ring_nop(i, test.process());
            EXPECT_OK(ring.submit());
            EXPECT_EQ(woken.load(), i);
            EXPECT(ring.next(done));
        }
    }));
}

TEST(remembered_ring, "a ring that was entered before is checked again, and rings do not mix") {
    auto one = MUST(ClientRing::create(test.budget(), test.process(), 4));
    auto two = MUST(ClientRing::create(test.budget(), test.process(), 4));
    for (uint64_t i = 0; i < 4; ++i) {
        *one.prepare() = ring_nop(10 + i, test.process());
        *two.prepare() = ring_nop(20 + i, test.process());
        EXPECT_EQ(MUST(one.submit()), 1);
        EXPECT_EQ(MUST(two.submit()), 1);
        EXPECT_EQ(MUST(one.take()).user_data, 10 + i);
        EXPECT_EQ(MUST(two.take()).user_data, 20 + i);
    }
    const auto again = MUST(one.handle().get_duplicate(abi::all_rights, abi::duplicate_revocable));
    const auto enter = [&](abi::Handle ring) { return system::enter(ring).status; };
    for (unsigned i = 0; i < 2; ++i) EXPECT_OK(enter(again.handle.value()));
    EXPECT_OK(one.handle().close_revoke(again.lease));
    EXPECT_ERROR(enter(again.handle.value()), Error::revoked);
    const auto weak = MUST(one.handle().get_duplicate(right_of(abi::Verb::get), 0));
    EXPECT_ERROR(enter(weak.handle.value()), Error::no_right);
    auto closed = MUST(one.handle().get_duplicate(abi::all_rights, 0));
    const abi::Handle value = closed.handle.value();
    for (unsigned i = 0; i < 2; ++i) EXPECT_OK(enter(value));
    closed.handle.close();
    EXPECT_ERROR(enter(value), Error::bad_handle);
}

TEST(entered_at_once, "threads that enter one ring at once take every entry once, or are busy") {
    constexpr uint32_t entries = 64;
    constexpr unsigned threads = 3;
    constexpr uint64_t total = 3'000;
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), entries));
    const auto memory = MUST(test.budget().create_memory(1, 0));
    std::atomic<bool> stop = false;
    std::atomic<uint64_t> accepted = 0;
    std::atomic<uint64_t> wrong = 0;
    std::atomic<abi::Handle> shared = 0;
    Crew<threads + 1> crew;
    for (unsigned i = 0; i < threads; ++i) {
        EXPECT_OK(crew.add([&] {
            while (!stop.load()) {
                const auto answer = system::enter(ring.handle().value());
                accepted.fetch_add(answer.accepted);
                const Error error = answer.status.code();
                if (error != Error::ok && error != Error::busy && error != Error::try_again) {
                    wrong.fetch_add(1);
                }
                sleep_for(microseconds(100));
            }
        }));
    }
    // The handle that the entries check comes and goes.
    EXPECT_OK(crew.add([&] {
        while (!stop.load()) {
            auto made = memory.get_duplicate(abi::all_rights, 0);
            if (!made.ok()) continue;
            shared.store(made->handle.value());
            sleep_for(microseconds(300));
            made->handle.close();
        }
    }));
    uint64_t sent = 0;
    uint64_t seen = 0;
    uint64_t good = 0;
    const uint64_t end = now() + seconds(10).nanoseconds;
    while (seen < total && now() < end) {
        while (sent < total) {
            abi::SubmissionEntry* entry = ring.prepare();
            if (entry == nullptr) break;
            *entry = ring_nop(sent++, HandleValue(shared.load()));
        }
        ring.queues().publish();
        for (abi::CompletionEntry done; ring.next(done);) {
            wrong.fetch_add(done.user_data != seen++ ? 1 : 0);
            good += done.ok() ? 1 : 0;
            if (!done.ok() && done.code() != Error::bad_handle) wrong.fetch_add(1);
        }
        sleep_for(microseconds(100));
    }
    stop.store(true);
    EXPECT_OK(crew.join());
    EXPECT_EQ(seen, total);
    EXPECT_EQ(accepted.load(), total);
    EXPECT_EQ(wrong.load(), 0);
    report_count("good handles", good);
}
