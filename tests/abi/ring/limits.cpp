// SPDX-License-Identifier: MIT
// The named limits of rings: each at the limit, and one above.

#include "tests/abi/ring/bench.h"
#include "tests/guest/ledger.h"
#include "tests/guest/table_bench.h"

#include <array>

namespace annulus::test::cases {
namespace {

// Moves the handles of the first `count` words.
abi::SubmissionEntry moving(HandleValue object, std::span<const Semaphore> handles,
                            RingBench& bench) {
    abi::SubmissionEntry entry = ring_operation(object, abi::Verb::share, 0xfeff, 1);
    abi::RingWords words = {};
    for (unsigned i = 0; i < handles.size(); ++i) {
        uint64_t& word = i < 2 ? entry.words[i] : words.words[i];
        word = handles[i].value();
        entry.moved_mask = static_cast<uint8_t>(entry.moved_mask | 1u << i);
    }
    memcpy(bench.bytes(), &words, sizeof(words));
    entry.flags = abi::ring_words;
    entry.memory = 0;
    return entry;
}

// What `make` answers when it no longer answers limit: a ring leaves in the background.
template <typename Make>
auto when_gone(Make make) {
    const Deadline end = Deadline::after(seconds(10));
    for (;;) {
        auto made = make();
        if (made.error() != Error::limit || now() >= end.at) return made;
    }
}

// How a request ends that a server makes through a ring, itself reached over `hops` servers; and
// over how many its own server saw it come.
struct DeepRequest {
    Error error = Error::refused;
    uint64_t hops = 0;
};

Result<DeepRequest> request_at(const Context& test, unsigned depth) {
    auto bench = TRY(RingBench::create(test, 4));
    const auto server = TRY(TableBench::create(test, 32));
    DeepRequest seen;
    Crew<10> crew;
    const auto handle = [&](const system::Delivery& delivery) {
        if (delivery.header.selector() == 2) {
            seen.hops = delivery.header.hops();
        } else if (delivery.header.hops() < depth) {
            static_cast<void>(system::call_words(server.object.value(), op_get));
        } else {
            seen.error = bench.outcome(ring_operation(server.object, abi::Verb::get, 2, 1));
        }
        return system::Reply{};
    };
    for (unsigned i = 0; i < 10; ++i) {
        TRY(crew.add([&] { serve(server.table.value(), handle); }));
    }
    const Status called = system::call_words(server.object.value(), op_get).status;
    if (!called.ok()) return called;
    TRY(server.table.shutdown_fault(0));
    TRY(crew.join());
    return seen;
}

}  // namespace
}  // namespace annulus::test::cases

TEST(most_entries, "a ring of the most entries takes them all at once; a larger one is refused") {
    const auto memory = MUST(test.budget().create_memory(abi::ring_pages_max + 1, 0));
    EXPECT_ERROR(
        test.budget().create_ring(2 * abi::ring_entries_max, memory, 0, abi::ring_allow_all),
        Error::bad_argument);
    auto bench = MUST(RingBench::create(test, abi::ring_entries_max));
    for (uint64_t i = 0; i < abi::ring_entries_max; ++i) {
        *bench.ring.prepare() = ring_timer(Deadline::never(), i);
    }
    EXPECT_EQ(MUST(bench.ring.submit()), abi::ring_entries_max);
    EXPECT_EQ(bench.in_flight(), abi::ring_entries_max);
    *bench.ring.prepare() = ring_timer(Deadline::never(), 0);
    EXPECT_ERROR(bench.ring.submit(), Error::try_again);
    EXPECT_EQ(bench.in_flight(), abi::ring_entries_max);
}

TEST(most_queue_pages, "the queues of the largest ring take the last page that a ring may have") {
    // From ring_pages_max - 1 pages on, memory is too short; with ring_pages_max it is not.
    const auto all = abi::ring_allow_all;
    const auto exact = MUST(test.budget().create_memory(abi::ring_pages_max, 0));
    const auto shorter = MUST(test.budget().create_memory(abi::ring_pages_max - 1, 0));
    EXPECT_OK(test.budget().create_ring(abi::ring_entries_max, exact, 0, all));
    EXPECT_ERROR(test.budget().create_ring(abi::ring_entries_max, shorter, 0, all),
                 Error::out_of_range);
}

TEST(most_memories, "a ring has 64 registered memories, of 64 pages each, and no more") {
    constexpr uint64_t pages = abi::ring_memory_pages_max;
    auto bench = MUST(RingBench::create(test, 4));
    const auto memory = MUST(test.budget().create_memory(pages + 1, 0));
    const RingReference ring = bench.ring.handle();
    EXPECT(ring.set_register(1, memory, 0, abi::ring_memory_pages_max + 1).status() ==
           Status(Error::bad_argument, 3));
    for (uint64_t index = 1; index < abi::ring_memories_max; ++index) {
        EXPECT_OK(ring.set_register(index, memory, index % 2 * abi::page_size, pages));
    }
    EXPECT(ring.set_register(abi::ring_memories_max, memory, 0, 1).status() ==
           Status(Error::bad_argument, 0));
    EXPECT(ring.remove_unregister(abi::ring_memories_max).status() ==
           Status(Error::bad_argument, 0));
    // The last byte of the last one.
    constexpr uint16_t last = abi::ring_memories_max - 1;
    constexpr uint32_t size = pages * abi::page_size;
    const std::byte mark{42};
    EXPECT_OK(memory.write_bytes(size + abi::page_size - 1, std::span(&mark, 1)));
    EXPECT_EQ(bench.outcome(ring_write(bench.memory, 7, {last, size - 1, 1}, 1)), Error::ok);
    EXPECT_EQ(bench.bytes()[7], 42);
    EXPECT_EQ(bench.outcome(ring_write(bench.memory, 7, {last, size - 1, 2}, 1)),
              Error::out_of_range);
    EXPECT_EQ(bench.outcome(ring_write(bench.memory, 7, {last + 1, 0, 1}, 1)), Error::bad_argument);
}

TEST(most_rings, "64 rings use a process's handles; one more answers limit, until one is closed") {
    const auto before = settled_ledger(test.budget());
    {
        const auto memory = MUST(test.budget().create_memory(1, 0));
        std::array<Ring, abi::process_rings_max> rings;
        const auto make = [&] {
            return test.budget().create_ring(1, memory, 0, abi::ring_allow_all);
        };
        for (Ring& ring : rings) ring = MUST(make());
        // The one that would be process_rings_max + 1.
        for (unsigned i = 0; i < 3; ++i) EXPECT_ERROR(make(), Error::limit);
        rings[17].close();
        const auto again = MUST(when_gone(make));
        EXPECT_ERROR(make(), Error::limit);
    }
    expect_returned(test, test.budget(), before, "the most rings");
}

TEST(most_moved, "4 handles move with an entry; 5 are too_many and all stay") {
    auto bench = MUST(RingBench::create(test, 4));
    const auto server = MUST(TableBench::create(test, 2));
    constexpr unsigned count = abi::moved_handles_max + 1;
    std::array<Semaphore, count> handles;
    for (unsigned i = 0; i < count; ++i) {
        handles[i] = MUST(test.budget().create_semaphore(abi::semaphore_counting, i, {}, 0));
    }
    EXPECT_EQ(bench.outcome(moving(server.object, handles, bench)), Error::too_many);
    for (const Semaphore& one : handles) EXPECT_OK(one.get_state());
    const std::span most = std::span(handles).first(abi::moved_handles_max);
    EXPECT(!MUST(bench.begin(moving(server.object, most, bench))).has_value());
    const auto got = take_next(server.table);
    EXPECT_EQ(got.header.handle_mask(), 0xf);
    for (unsigned i = 0; i < abi::moved_handles_max; ++i) {
        EXPECT_EQ(MUST(Semaphore(got.words[i]).get_state()).value, i);
        EXPECT_ERROR(handles[i].get_state(), Error::bad_handle);
        static_cast<void>(handles[i].release());
    }
    EXPECT_OK(answer(server.table, got.request).status);
    EXPECT_EQ(MUST(bench.ring.take()).code(), Error::ok);
}

TEST(most_landings, "4 values are reserved for handles at once, and an entry names 4, not 5") {
    auto bench = MUST(RingBench::create(test, 8));
    const auto server = MUST(TableBench::create(test, 2));
    const RingReference ring = bench.ring.handle();
    EXPECT(ring.create_landing(0, abi::moved_handles_max + 1).status() ==
           Status(Error::bad_argument, 1));
    EXPECT_OK(ring.create_landing(0, abi::moved_handles_max));
    EXPECT_OK(ring.create_landing(abi::moved_handles_max, abi::moved_handles_max));
    abi::SubmissionEntry entry = ring_operation(server.object, abi::Verb::open, 0, 1);
    entry.landing_count = abi::moved_handles_max + 1;
    EXPECT_EQ(bench.outcome(entry), Error::bad_argument);
    entry.landing_count = abi::moved_handles_max;
    EXPECT(!MUST(bench.begin(entry)).has_value());
    EXPECT_OK(answer(server.table, take_next(server.table).request).status);
    EXPECT_EQ(MUST(bench.ring.take()).code(), Error::ok);
}

TEST(hops, "a request that a server makes through a ring counts its hops as a call does") {
    const auto last = MUST(request_at(test, abi::hops_max - 1));
    EXPECT_EQ(last.error, Error::ok);
    EXPECT_EQ(last.hops, abi::hops_max);
    const auto beyond = MUST(request_at(test, abi::hops_max));
    EXPECT_EQ(beyond.error, Error::too_deep);
    EXPECT_EQ(beyond.hops, 0);
}
