// SPDX-License-Identifier: MIT
// Clients that lie in the queues: indices that jump, go back or flip, entries that change.

#include "tests/abi/ring/bench.h"
#include "tests/guest/ledger.h"
#include "tests/guest/table_bench.h"

#include "abi/ring.h"

namespace annulus::test::cases {
namespace {

volatile uint32_t& index_of(RingBench& bench, uint32_t offset) {
    // Safety: within the queues, which are mapped.
    return *reinterpret_cast<volatile uint32_t*>(bench.ring.queues().begin() + offset);
}

abi::Status enter(RingBench& bench) { return system::enter(bench.ring.handle().value()).status; }

// The ring answers `faulted` to entries from now on, but completes what it had.
void expect_faulted(Context& test, RingBench& bench) {
    EXPECT_ERROR(enter(bench), Error::faulted);
    EXPECT_EQ(MUST(bench.ring.handle().get_state()).faulted, 1);
}

template <typename Lie>
void lie(Context& test, Lie tell) {
    auto bench = MUST(RingBench::create(test, 8));
    *bench.ring.prepare() = ring_timer(Deadline{now() + 150'000'000}, 5);
    *bench.ring.prepare() = ring_nop(6);
    EXPECT_OK(bench.ring.submit(1));
    EXPECT_EQ(MUST(bench.ring.take()).user_data, 6);
    EXPECT_EQ(MUST(bench.ring.handle().get_state()).unread, 0);  // the kernel saw the head
    tell(bench);
    expect_faulted(test, bench);
    // The kernel's tail goes on from its own index.
    const uint64_t end = now() + seconds(10).nanoseconds;
    while (bench.in_flight() != 0 && now() < end) sleep_for(milliseconds(5));
    EXPECT_EQ(bench.in_flight(), 0);
    EXPECT_EQ(index_of(bench, abi::ring_completion_tail), 2u);
}

// Random words, some of them reduced to what has a chance to pass the checks.
void randomize(abi::SubmissionEntry& entry, uint64_t& state, std::span<const uint64_t, 4> handles) {
    for (unsigned i = 0; i < 8; ++i) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        memcpy(reinterpret_cast<std::byte*>(&entry) + 8 * i, &state, 8);
    }
    entry.verb = static_cast<abi::RingVerb>(state % 20);
    // Closing would end the test early.
    if (entry.verb == abi::ring_verb(abi::Verb::close)) entry.selector = 0;
    entry.flags = static_cast<uint8_t>(state >> 8 & 7);
    if (state >> 20 & 1) entry.memory = 0;
    if (state >> 21 & 1) entry.offset &= 0xfff, entry.bytes_in &= 63;
    if (state >> 21 & 1) entry.capacity_out &= 63, entry.words_block &= 15;
    if (state >> 22 & 1) entry.selector &= 1, entry.landing_count &= 3;
    if (state >> 23 & 3) entry.moved_mask = 0;
    entry.handle = handles[state >> 25 & 3];
    entry.deadline = now() + 1'000'000;
    if (entry.flags & abi::ring_relative) entry.deadline = 1'000'000;
}

// Flips words of entries for ever; never a user_data, which the test counts by.
void flip_entries(std::byte* begin, uint32_t entries, const std::atomic<bool>& stop,
                  uint64_t& flips) {
    uint64_t state = 88172645463325252;
    while (!stop.load()) {
        for (unsigned i = 0; i < 50; ++i) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            if (state % 8 == 2) continue;
            // Safety: within the submission queue.
            auto* word = reinterpret_cast<volatile uint64_t*>(begin + (state >> 8) % entries * 64 +
                                                              state % 8 * 8);
            *word = *word ^ (uint64_t{1} << (state >> 40) % 64);
            ++flips;
        }
        sleep_for(milliseconds(1));
    }
}

}  // namespace
}  // namespace annulus::test::cases

TEST(tail_beyond, "a submission tail beyond the queue faults the ring") {
    for (const uint32_t tail : {2u + 9u, 0x80000000u, 1u, 0u, 0xffffffffu}) {
        lie(test, [&](RingBench& bench) { index_of(bench, abi::ring_submission_tail) = tail; });
    }
}

TEST(head_wrong, "a completion head that goes back, or past what was written, faults the ring") {
    for (const uint32_t head : {0u, 3u, 0x80000001u, 0xffffffffu}) {
        lie(test, [&](RingBench& bench) { index_of(bench, abi::ring_completion_head) = head; });
    }
}

TEST(kernel_indices, "the kernel does not read the indices that it wrote") {
    auto bench = MUST(RingBench::create(test, 8));
    for (uint32_t round = 0; round < 20; ++round) {
        abi::SubmissionEntry* entry = bench.ring.prepare();
        EXPECT(entry != nullptr);
        *entry = ring_nop(round);
        bench.ring.queues().publish();
        index_of(bench, abi::ring_submission_head) = 0x12345678 * round;
        index_of(bench, abi::ring_completion_tail) = 0x87654321 * round;
        EXPECT_OK(enter(bench));
        EXPECT_EQ(index_of(bench, abi::ring_submission_head), round + 1);
        EXPECT_EQ(index_of(bench, abi::ring_completion_tail), round + 1);
        abi::CompletionEntry done;
        EXPECT(bench.ring.next(done));
        EXPECT_EQ(done.user_data, round);
    }
}

TEST(only_waiting, "enter takes all that was submitted, or nothing when it only waits") {
    auto bench = MUST(RingBench::create(test, 8));
    const abi::Handle ring = bench.ring.handle().value();
    for (uint64_t i = 0; i < 3; ++i) *bench.ring.prepare() = ring_nop(i);
    bench.ring.queues().publish();
    auto answer = system::enter(ring, abi::enter_only_waits, abi::deadline_poll);
    EXPECT_OK(answer.status);
    EXPECT_EQ(answer.accepted, 0);
    EXPECT_EQ(answer.unread, 0);
    answer = system::enter(ring, abi::enter_only_waits | 1, abi::deadline_poll);
    EXPECT_ERROR(answer.status, Error::timed_out);
    EXPECT_EQ(answer.accepted, 0);
    answer = system::enter(ring);
    EXPECT_OK(answer.status);
    EXPECT_EQ(answer.accepted, 3);
    EXPECT_EQ(answer.unread, 3);
    for (const uint64_t wanted : {~uint64_t{0}, ~abi::enter_only_waits, uint64_t{9}}) {
        EXPECT_ERROR(system::enter(ring, wanted, 0).status, Error::bad_argument);
    }
}

TEST(random_entries, "random entries complete once each, whatever is in them, while they change") {
    constexpr uint32_t entries = 64;
    auto bench = MUST(RingBench::create(test, entries));
    auto server = MUST(TableBench::create(test, 4, 64));
    EXPECT_OK(bench.ring.handle().create_landing(0, 4));
    std::atomic<bool> stop = false;
    Crew<2> crew;
    EXPECT_OK(crew.add([&] {
        serve(server.table.value(), [](const system::Delivery& delivery) {
            return system::Reply{.status = {},
                                 .words = delivery.words,
                                 .bytes_out = delivery.capacity_out(),
                                 .moved_mask = 0};
        });
    }));
    uint64_t flips = 0;
    std::byte* begin = bench.ring.queues().begin() + abi::ring_submissions(entries);
    EXPECT_OK(crew.add([&] { flip_entries(begin, entries, stop, flips); }));
    uint64_t state = 0x9e3779b97f4a7c15;
    uint64_t sent = 0;
    uint64_t seen = 0;
    uint64_t sum = 0;
    const uint64_t end = now() + seconds(2).nanoseconds;
    const uint64_t handles[] = {server.object.value(), bench.memory.value(), 0, 0x7fffffff00000009};
    while (now() < end || seen < sent) {
        while (now() < end && sent - seen < entries) {
            abi::SubmissionEntry* entry = bench.ring.prepare();
            if (entry == nullptr) break;
            randomize(*entry, state, handles);
            entry->user_data = ++sent;
        }
        const auto submitted = bench.ring.submit(1, Deadline{now() + 3'000'000});
        if (!submitted.ok() && submitted.error() != Error::timed_out) {
            test.fail("submit: {}", submitted.error());
            break;
        }
        for (abi::CompletionEntry done; bench.ring.next(done);) {
            ++seen;
            sum += done.user_data;
        }
        // A flipped deadline may be far away: such operations are cancelled by the end of the ring.
        if (now() > end + seconds(1).nanoseconds) break;
    }
    stop.store(true);
    EXPECT(seen > 100);
    EXPECT(seen <= sent);
    EXPECT_EQ(sent - seen, bench.in_flight() + bench.ring.queues().ready());
    if (seen == sent) EXPECT_EQ(sum, sent * (sent + 1) / 2);
    EXPECT_OK(server.table.shutdown_fault(0));
    EXPECT_OK(crew.join());
    report_count("random entries", seen);
    report_count("flips", flips);
}
