// SPDX-License-Identifier: MIT
// Rings without servers: queues, nops, timers, memory objects, chains.

#include "tests/abi/ring/bench.h"
#include "tests/guest/ledger.h"

const char* const annulus::test::suite = "ring";

namespace annulus::test::cases {
namespace {

abi::SubmissionEntry nop(uint64_t user_data, abi::Handle handle = abi::no_handle) {
    abi::SubmissionEntry entry = {};
    entry.verb = abi::ring_nop;
    entry.handle = handle;
    entry.user_data = user_data;
    return entry;
}
abi::SubmissionEntry linked(abi::SubmissionEntry entry) {
    entry.flags |= abi::ring_link;
    return entry;
}

}  // namespace
}  // namespace annulus::test::cases

TEST(nops, "every entry gets one completion, in batches of every size, past the queues' ends") {
    for (const uint32_t entries : {1u, 2u, 8u, 128u, 1024u}) {
        auto ring = MUST(ClientRing::create(test.budget(), test.process(), entries));
        uint64_t sent = 0;
        uint64_t seen = 0;
        uint64_t wrong = 0;
        for (uint32_t round = 0; round < 40; ++round) {
            const uint32_t batch = 1 + round * 7 % entries;
            for (uint32_t i = 0; i < batch; ++i) *ring.prepare() = nop(sent++);
            EXPECT_EQ(MUST(ring.submit(batch)), batch);
            abi::CompletionEntry done;
            while (ring.next(done)) {
                if (done.user_data != seen++ || done.status != 0 || done.count != 0) ++wrong;
            }
        }
        EXPECT_EQ(seen, sent);
        EXPECT_EQ(wrong, 0);
        EXPECT_EQ(MUST(ring.handle().get_state()).in_flight, 0);
        EXPECT_EQ(MUST(ring.handle().get_state()).entries, entries);
    }
}

TEST(nop_handle, "a nop with a handle says whether the handle is good") {
    auto bench = MUST(RingBench::create(test, 4));
    EXPECT_EQ(bench.outcome(nop(1, bench.memory.value())), Error::ok);
    EXPECT_EQ(bench.outcome(nop(1, 0x7fffffff00000007)), Error::bad_handle);
    EXPECT_EQ(bench.outcome(nop(1, ~uint64_t{0})), Error::bad_handle);
}

TEST(creation, "entries, offset, mask and memory of a ring are checked") {
    const BudgetReference budget = test.budget();
    const auto memory = MUST(budget.create_memory(32, 0));
    const uint32_t all = abi::ring_allow_all;
    for (const uint64_t entries : {uint64_t{0}, uint64_t{3}, uint64_t{2048}, ~uint64_t{0}}) {
        EXPECT_ERROR(budget.create_ring(entries, memory, 0, all), Error::bad_argument);
    }
    EXPECT_OK(budget.create_ring(abi::ring_entries_max, memory, 0, all));
    EXPECT_ERROR(budget.create_ring(8, memory, 64, all), Error::bad_argument);
    EXPECT_ERROR(budget.create_ring(8, memory, 32 * abi::page_size, all), Error::out_of_range);
    EXPECT_OK(budget.create_ring(8, memory, 31 * abi::page_size, all));
    EXPECT_ERROR(budget.create_ring(64, memory, 31 * abi::page_size, all), Error::out_of_range);
    EXPECT_ERROR(budget.create_ring(8, memory, ~uint64_t{4095}, all), Error::out_of_range);
    EXPECT_ERROR(budget.create_ring(8, memory, 0, uint64_t{all} + 1), Error::bad_argument);
    const auto revocable = MUST(budget.create_memory(1, abi::memory_revocable));
    EXPECT_ERROR(budget.create_ring(8, revocable, 0, all), Error::may_fault);
    const auto readable =
        MUST(memory.get_duplicate(right_of(abi::Verb::map) | right_of(abi::Verb::read), 0));
    EXPECT_ERROR(budget.create_ring(8, MemoryReference(readable.handle.value()), 0, all),
                 Error::no_right);
    EXPECT_ERROR(budget.create_ring(8, MemoryReference(), 0, all), Error::bad_handle);
}

TEST(rights, "entering a ring needs its right, and the process that made it") {
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), 4));
    const auto powerless = MUST(ring.handle().get_duplicate(right_of(abi::Verb::get), 0));
    EXPECT_ERROR(system::enter(powerless.handle.value()).status, Error::no_right);
    EXPECT_ERROR(system::enter(test.budget().value()).status, Error::wrong_type);
    EXPECT_ERROR(system::enter(0).status, Error::bad_handle);
}

TEST(allowed, "a verb outside the ring's mask is not_granted, and an unknown one bad_operation") {
    const uint32_t mask =
        abi::ring_allow(abi::ring_nop) | abi::ring_allow(abi::ring_verb(abi::Verb::read));
    auto bench = MUST(RingBench::create(test, 4, mask));
    EXPECT_EQ(bench.outcome(nop(1)), Error::ok);
    EXPECT_EQ(bench.outcome(ring_read(bench.memory, 0, bench.part(0, 8), 1)), Error::ok);
    EXPECT_EQ(bench.outcome(ring_write(bench.memory, 0, bench.part(0, 8), 1)), Error::not_granted);
    EXPECT_EQ(bench.outcome(ring_timer(Deadline::poll(), 1)), Error::not_granted);
    abi::SubmissionEntry entry = nop(1);
    for (unsigned verb = abi::ring_verb_count; verb < 256; verb += 59) {
        entry.verb = static_cast<abi::RingVerb>(verb);
        EXPECT_EQ(bench.outcome(entry), Error::bad_operation);
    }
    auto none = MUST(RingBench::create(test, 4, 0));
    EXPECT_EQ(none.outcome(nop(1)), Error::not_granted);
}

TEST(flags, "unknown flags of an entry are not_supported") {
    auto bench = MUST(RingBench::create(test, 4));
    for (unsigned bit = 3; bit < 8; ++bit) {
        abi::SubmissionEntry entry = nop(1);
        entry.flags = static_cast<uint8_t>(1u << bit);
        EXPECT_EQ(bench.outcome(entry), Error::not_supported);
    }
}

TEST(memory_bytes, "reads and writes of memory objects move the bytes, across pages") {
    auto bench = MUST(RingBench::create(test, 8));
    const auto object = MUST(test.budget().create_memory(20, abi::memory_on_demand));
    for (const uint32_t size : {1u, 7u, 4096u, 5000u, 40000u}) {
        for (const uint32_t at : {0u, 4090u, 8191u}) {
            for (uint32_t i = 0; i < size; ++i) {
                bench.bytes()[at + i] = static_cast<unsigned char>(i * 7 + size);
            }
            const auto written = MUST(bench.run(ring_write(object, 100, bench.part(at, size), 5)));
            EXPECT_OK(Status(written.code()));
            EXPECT_EQ(written.count, size);
            EXPECT_EQ(written.user_data, 5);
            memset(bench.bytes(), 0, 60000);
            const auto read = MUST(bench.run(ring_read(object, 100, bench.part(11, size), 6)));
            EXPECT_OK(Status(read.code()));
            EXPECT_EQ(read.count, size);
            uint32_t wrong = 0;
            for (uint32_t i = 0; i < size; ++i) {
                wrong += bench.bytes()[11 + i] != static_cast<unsigned char>(i * 7 + size);
            }
            EXPECT_EQ(wrong, 0);
        }
    }
}

TEST(memory_limits, "entries name only registered memory, within it, with the object's rights") {
    auto bench = MUST(RingBench::create(test, 8));
    const uint32_t end = RingBench::pages * abi::page_size;
    const MemoryReference object = bench.memory;
    EXPECT_EQ(bench.outcome(ring_read(object, 0, {1, 0, 8}, 1)), Error::bad_argument);
    EXPECT_EQ(bench.outcome(ring_read(object, 0, {64, 0, 8}, 1)), Error::bad_argument);
    EXPECT_EQ(bench.outcome(ring_read(object, 0, {0xffff, 0, 8}, 1)), Error::bad_argument);
    EXPECT_EQ(bench.outcome(ring_read(object, 0, {0, end - 7, 8}, 1)), Error::out_of_range);
    EXPECT_EQ(bench.outcome(ring_read(object, 0, {0, ~0u, 8}, 1)), Error::out_of_range);
    EXPECT_EQ(bench.outcome(ring_read(object, 0, {0, 8, ~0u}, 1)), Error::out_of_range);
    EXPECT_EQ(bench.outcome(ring_read(object, end - 4, {0, 0, 8}, 1)), Error::out_of_range);
    EXPECT_EQ(bench.outcome(ring_read(object, ~uint64_t{3}, {0, 0, 8}, 1)), Error::out_of_range);
    const auto readable = MUST(object.get_duplicate(right_of(abi::Verb::read), 0));
    EXPECT_EQ(bench.outcome(ring_write(readable.handle, 0, {0, 0, 8}, 1)), Error::no_right);
    EXPECT_EQ(bench.outcome(ring_write(test.budget(), 0, {0, 0, 8}, 1)), Error::not_supported);
    EXPECT_EQ(bench.outcome(ring_operation(object, abi::Verb::get, 0, 1)), Error::not_supported);
    EXPECT_EQ(bench.outcome(ring_operation(object, abi::Verb::get, 0xff01, 1)),
              Error::not_supported);
    EXPECT_EQ(bench.in_flight(), 0);
}

TEST(registration, "memory is registered once an index, checked then, and forgotten when unused") {
    auto bench = MUST(RingBench::create(test, 4));
    const RingReference ring = bench.ring.handle();
    const abi::BudgetLedger before = settled_ledger(test.budget());
    EXPECT_ERROR(ring.set_register(0, bench.memory, 0, 1), Error::busy);
    EXPECT_ERROR(ring.set_register(64, bench.memory, 0, 1), Error::bad_argument);
    EXPECT_ERROR(ring.set_register(1, bench.memory, 1, 1), Error::bad_argument);
    EXPECT_ERROR(ring.set_register(1, bench.memory, 0, 0), Error::bad_argument);
    EXPECT_ERROR(ring.set_register(1, bench.memory, 0, 65), Error::bad_argument);
    EXPECT_ERROR(ring.set_register(1, bench.memory, abi::page_size, RingBench::pages),
                 Error::out_of_range);
    const auto revocable = MUST(test.budget().create_memory(1, abi::memory_revocable));
    EXPECT_ERROR(ring.set_register(1, revocable, 0, 1), Error::may_fault);
    EXPECT_ERROR(ring.remove_unregister(1), Error::not_found);
    const auto readable =
        MUST(bench.memory.get_duplicate(right_of(abi::Verb::map) | right_of(abi::Verb::read), 0));
    EXPECT_OK(ring.set_register(63, MemoryReference(readable.handle.value()), 0, 2));
    EXPECT_EQ(bench.outcome(ring_write(bench.memory, 0, {63, 0, 8}, 1)), Error::ok);
    EXPECT_EQ(bench.outcome(ring_read(bench.memory, 0, {63, 0, 8}, 1)), Error::no_right);
    EXPECT_OK(ring.remove_unregister(63));
    EXPECT_OK(ring.remove_unregister(0));
    EXPECT_EQ(bench.outcome(ring_read(bench.memory, 0, {0, 0, 8}, 1)), Error::bad_argument);
    EXPECT_OK(ring.set_register(0, bench.memory, 0, RingBench::pages));
    bench.ring.handle();
    const abi::BudgetLedger after = settled_ledger(test.budget());
    EXPECT_EQ(used(after, abi::Resource::pins), used(before, abi::Resource::pins));
}

TEST(clones, "a write through a ring to a page that a clone shares waits for its copy") {
    auto bench = MUST(RingBench::create(test, 4));
    const auto object = MUST(test.budget().create_memory(8, 0));
    const uint64_t begin =
        MUST(test.process().map(object, 0, 8 * abi::page_size, 0, abi::map_read | abi::map_write));
    // Safety: just mapped.
    auto* mapped = reinterpret_cast<volatile unsigned char*>(begin);
    for (uint64_t i = 0; i < 8; ++i) mapped[i * abi::page_size] = 7;
    const auto clone = MUST(object.create_clone(test.budget(), 0, 8));
    memset(bench.bytes(), 9, 8 * abi::page_size);
    const auto done = MUST(bench.run(ring_write(object, 0, {0, 0, 8 * 4096}, 1)));
    EXPECT_OK(Status(done.code()));
    EXPECT_EQ(done.count, 8 * abi::page_size);
    std::byte byte = {};
    for (uint64_t i = 0; i < 8; ++i) {
        EXPECT_EQ(mapped[i * abi::page_size], 9);
        EXPECT_OK(clone.read_bytes(i * abi::page_size, std::span(&byte, 1)));
        EXPECT_EQ(static_cast<unsigned>(byte), 7);
    }
    EXPECT_OK(test.process().map_unmap(begin, 8 * abi::page_size));
}

TEST(timers, "timers complete in the order of their deadlines, absolute or relative") {
    auto bench = MUST(RingBench::create(test, 8));
    const uint64_t start = now();
    *bench.ring.prepare() = ring_timer(Deadline{start + 60'000'000}, 3);
    *bench.ring.prepare() = ring_timer(Deadline{start + 30'000'000}, 2);
    abi::SubmissionEntry relative = ring_timer(Deadline{120'000'000}, 4);
    relative.flags = abi::ring_relative;
    *bench.ring.prepare() = relative;
    *bench.ring.prepare() = ring_timer(Deadline{1}, 1);
    EXPECT_EQ(MUST(bench.ring.submit(4)), 4);
    for (uint64_t i = 1; i <= 4; ++i) {
        const auto done = MUST(bench.ring.take(Deadline::poll()));
        EXPECT_EQ(done.user_data, i);
        EXPECT_EQ(done.code(), Error::ok);
    }
    EXPECT(now() >= start + 120'000'000);
    EXPECT_EQ(bench.in_flight(), 0);
}

TEST(wait, "waiting for completions ends with the deadline, and one thread at a time waits") {
    auto bench = MUST(RingBench::create(test, 8));
    const uint64_t soon = now() + 1'000'000;
    EXPECT_ERROR(bench.ring.take(Deadline{soon}), Error::timed_out);
    EXPECT(now() >= soon);
    EXPECT_ERROR(bench.ring.take(Deadline::poll()), Error::timed_out);
    EXPECT_ERROR(bench.ring.submit(9), Error::bad_argument);
    EXPECT_OK(on_one_cpu([&] {
        Crew<1> crew;
        Status woken = Error::refused;
        EXPECT_OK(crew.add([&] { woken = bench.ring.submit(2).status(); }, eager));
        const auto second = system::enter(bench.ring.handle().value(), abi::enter_only_waits | 1,
                                          abi::deadline_never)
                                .status;
        EXPECT_ERROR(second, Error::busy);
        *bench.ring.prepare() = nop(1);
        EXPECT_OK(bench.ring.submit());
        EXPECT_EQ(woken.code(), Error::refused);
        *bench.ring.prepare() = nop(2);
        EXPECT_OK(bench.ring.submit());
        EXPECT_OK(crew.join());
        EXPECT_OK(woken);
    }));
}

TEST(watch, "the completion semaphore gets a unit when completions were added") {
    auto bench = MUST(RingBench::create(test, 8));
    const auto bell = MUST(test.budget().create_semaphore(abi::semaphore_binary, 0, {}, 0));
    EXPECT_OK(bench.ring.handle().watch_completion(bell));
    EXPECT_ERROR(bench.ring.handle().watch_completion(bell), Error::busy);
    for (uint64_t i = 0; i < 3; ++i) *bench.ring.prepare() = nop(i);
    EXPECT_OK(bench.ring.submit());
    EXPECT_OK(wait_for(bell, Deadline::poll()));
    EXPECT_ERROR(wait_for(bell, Deadline::poll()), Error::timed_out);
    *bench.ring.prepare() = ring_timer(Deadline{now() + 1'000'000}, 9);
    EXPECT_OK(bench.ring.submit());
    EXPECT_OK(wait_for(bell));
    EXPECT_EQ(bench.ring.queues().ready(), 4);
}

TEST(full, "an entry without room for its completion is not accepted: try_again, nothing lost") {
    auto bench = MUST(RingBench::create(test, 4));
    for (uint64_t i = 0; i < 2; ++i) *bench.ring.prepare() = ring_timer(Deadline::never(), i);
    for (uint64_t i = 2; i < 4; ++i) *bench.ring.prepare() = nop(i);
    EXPECT_EQ(MUST(bench.ring.submit()), 4);
    for (uint64_t i = 4; i < 8; ++i) *bench.ring.prepare() = nop(i);
    EXPECT(bench.ring.prepare() == nullptr);
    EXPECT_ERROR(bench.ring.submit(), Error::try_again);
    abi::CompletionEntry done;
    EXPECT(bench.ring.next(done));
    EXPECT_EQ(MUST(bench.ring.submit()), 1);
    EXPECT_ERROR(bench.ring.submit(), Error::try_again);
    uint64_t next = 3;
    while (next < 8) {
        while (bench.ring.next(done)) EXPECT_EQ(done.user_data, next++);
        if (next < 8) EXPECT_OK(bench.ring.submit());
        if (test.failed()) return;
    }
    EXPECT_EQ(bench.in_flight(), 2);
}

TEST(chains, "a linked entry begins when the one before has succeeded; a failure ends the rest") {
    auto bench = MUST(RingBench::create(test, 16));
    const uint64_t bad = 0x7fffffff00000007;
    *bench.ring.prepare() = linked(ring_timer(Deadline{now() + 2'000'000}, 1));
    *bench.ring.prepare() = linked(nop(2));
    *bench.ring.prepare() = nop(3);
    *bench.ring.prepare() = linked(nop(4));
    *bench.ring.prepare() = linked(nop(5, bad));
    *bench.ring.prepare() = linked(nop(6));
    *bench.ring.prepare() = nop(7);
    *bench.ring.prepare() = nop(8);
    EXPECT_EQ(MUST(bench.ring.submit(8)), 8);
    const struct {
        uint64_t user_data;
        Error code;
    } expected[] = {{4, Error::ok},        {5, Error::bad_handle}, {6, Error::cancelled},
                    {7, Error::cancelled}, {8, Error::ok},         {1, Error::ok},
                    {2, Error::ok},        {3, Error::ok}};
    for (const auto& one : expected) {
        const auto done = MUST(bench.ring.take(Deadline::poll()));
        EXPECT_EQ(done.user_data, one.user_data);
        EXPECT_EQ(done.code(), one.code);
    }
}

TEST(long_chain, "a chain as long as the ring ends as a whole when its first entry is cancelled") {
    constexpr uint32_t count = 512;
    auto bench = MUST(RingBench::create(test, 2 * count));
    *bench.ring.prepare() = linked(ring_timer(Deadline::never(), 0));
    for (uint64_t i = 1; i < count; ++i) *bench.ring.prepare() = linked(nop(i));
    *bench.ring.prepare() = nop(count);
    *bench.ring.prepare() = ring_cancel(0, count + 1);
    EXPECT_EQ(MUST(bench.ring.submit(count + 2)), count + 2);
    uint64_t cancelled = 0;
    uint64_t succeeded = 0;
    abi::CompletionEntry done;
    while (bench.ring.next(done)) {
        if (done.code() == Error::cancelled) ++cancelled;
        if (done.code() == Error::ok) ++succeeded;
    }
    EXPECT_EQ(cancelled, count + 1);
    EXPECT_EQ(succeeded, 1);
}

TEST(cancel, "a cancel ends a timer or a waiting entry of a chain, and says what it found") {
    auto bench = MUST(RingBench::create(test, 16));
    *bench.ring.prepare() = linked(ring_timer(Deadline::never(), 1));
    *bench.ring.prepare() = linked(nop(2));
    *bench.ring.prepare() = nop(3);
    EXPECT_EQ(MUST(bench.ring.submit()), 3);
    EXPECT_EQ(bench.outcome(ring_cancel(77, 9)), Error::not_found);
    EXPECT_EQ(bench.outcome(ring_cancel(2, 9)), Error::ok);
    EXPECT_EQ(bench.in_flight(), 3);
    *bench.ring.prepare() = ring_cancel(1, 10);
    EXPECT_OK(bench.ring.submit(4));
    bool seen[11] = {};
    abi::CompletionEntry done;
    while (bench.ring.next(done)) {
        EXPECT_EQ(done.code(), done.user_data == 10 ? Error::ok : Error::cancelled);
        EXPECT(!seen[done.user_data]);
        seen[done.user_data] = true;
    }
    EXPECT(seen[1] && seen[2] && seen[3] && seen[10]);
    EXPECT_EQ(bench.outcome(ring_cancel(1, 9)), Error::not_found);
}

TEST(close_by_ring, "a close through the ring closes the handle") {
    auto bench = MUST(RingBench::create(test, 4));
    auto token = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    EXPECT_EQ(bench.outcome(ring_close(token, 1)), Error::ok);
    EXPECT_ERROR(token.get_state(), Error::bad_handle);
    EXPECT_EQ(bench.outcome(ring_close(token, 1)), Error::bad_handle);
    static_cast<void>(token.release());
}

TEST(ledger, "what a ring took comes back when it goes, with operations in flight") {
    const abi::BudgetLedger before = settled_ledger(test.budget());
    for (unsigned round = 0; round < 50; ++round) {
        auto bench = MUST(RingBench::create(test, 64));
        EXPECT_OK(bench.ring.handle().create_landing(0, 4));
        for (uint64_t i = 0; i < 32; ++i) {
            *bench.ring.prepare() = linked(ring_timer(Deadline::never(), i));
            *bench.ring.prepare() = ring_timer(Deadline::never(), i);
        }
        EXPECT_OK(bench.ring.submit());
        EXPECT_EQ(bench.in_flight(), 64);
    }
    expect_returned(test, test.budget(), before, "rings", 2);
}
