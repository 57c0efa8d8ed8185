// SPDX-License-Identifier: MIT
// What rings do verb by verb: with the right, without it, with a stale handle, outside the mask.

#include "tests/abi/ring/bench.h"
#include "tests/guest/ledger.h"
#include "tests/guest/table_bench.h"

namespace annulus::test::cases {
namespace {

constexpr abi::Handle never_issued = 0x7fffffff00000007;

abi::SubmissionEntry entry_of(abi::Verb verb, HandleValue object) {
    switch (verb) {
        case abi::Verb::read: return ring_read(object, 0, {0, 0, 16}, 1);
        case abi::Verb::write: return ring_write(object, 0, {0, 0, 16}, 1);
        case abi::Verb::close: return ring_close(object, 1);
        default: return ring_operation(object, verb, 0, 1);
    }
}

// A handle that was closed, and one whose lease was revoked.
void expect_stale(Context& test, RingBench& bench, ObjectReference object, abi::Verb verb) {
    auto closed = MUST(object.get_duplicate(abi::all_rights, 0));
    const HandleValue old(closed.handle.value());
    closed.handle.close();
    EXPECT_EQ(bench.outcome(entry_of(verb, old)), Error::bad_handle);
    EXPECT_EQ(bench.outcome(entry_of(verb, HandleValue(never_issued))), Error::bad_handle);
    EXPECT_EQ(bench.outcome(entry_of(verb, HandleValue())), Error::bad_handle);
    const auto leased = MUST(object.get_duplicate(abi::all_rights, abi::duplicate_revocable));
    EXPECT_OK(object.close_revoke(leased.lease));
    if (verb == abi::Verb::close) return;  // which a revoked handle still allows
    EXPECT_EQ(bench.outcome(entry_of(verb, leased.handle)), Error::revoked);
}

void expect_mask(Context& test, ObjectReference object, abi::Verb verb) {
    const uint32_t without = abi::ring_allow_all & ~abi::ring_allow(abi::ring_verb(verb));
    auto bench = MUST(RingBench::create(test, 4, without));
    EXPECT_EQ(bench.outcome(entry_of(verb, object)), Error::not_granted);
}

}  // namespace
}  // namespace annulus::test::cases

TEST(served_verbs,
     "read, write and open of a served object need their own right and a live handle") {
    auto bench = MUST(RingBench::create(test, 4));
    auto server = MUST(TableBench::create(test, 2, 64));
    Crew<1> crew;
    EXPECT_OK(crew.add([&] {
        serve(server.table.value(), [](const system::Delivery& delivery) {
            return system::Reply{.status = {},
                                 .words = {{static_cast<uint64_t>(delivery.header.verb())}},
                                 .bytes_out = delivery.capacity_out(),
                                 .moved_mask = 0};
        });
    }));
    const ObjectReference object(server.object.value());
    for (const abi::Verb verb : {abi::Verb::read, abi::Verb::write, abi::Verb::open}) {
        const auto done = MUST(bench.run(entry_of(verb, object)));
        EXPECT_OK(Status(done.code()));
        EXPECT_EQ(done.count, verb == abi::Verb::read ? 16 : static_cast<unsigned>(verb));
        const auto only = MUST(object.get_duplicate(right_of(verb), 0));
        EXPECT_EQ(bench.outcome(entry_of(verb, only.handle)), Error::ok);
        const auto others = MUST(object.get_duplicate(abi::all_rights & ~right_of(verb), 0));
        const auto refused = MUST(bench.run(entry_of(verb, others.handle)));
        EXPECT_EQ(refused.code(), Error::no_right);
        EXPECT_EQ(refused.detail(), static_cast<unsigned>(verb));
        expect_stale(test, bench, object, verb);
        expect_mask(test, object, verb);
    }
    EXPECT_EQ(bench.in_flight(), 0);
    EXPECT_OK(server.table.shutdown_fault(0));
    EXPECT_OK(crew.join());
}

TEST(memory_verbs, "read and write of a memory object need their own right and a live handle") {
    auto bench = MUST(RingBench::create(test, 4));
    const auto memory = MUST(test.budget().create_memory(1, 0));
    const ObjectReference object(memory.value());
    for (const abi::Verb verb : {abi::Verb::read, abi::Verb::write}) {
        const auto only = MUST(object.get_duplicate(right_of(verb), 0));
        EXPECT_EQ(bench.outcome(entry_of(verb, only.handle)), Error::ok);
        const auto others = MUST(object.get_duplicate(abi::all_rights & ~right_of(verb), 0));
        EXPECT_EQ(bench.outcome(entry_of(verb, others.handle)), Error::no_right);
        expect_stale(test, bench, object, verb);
        expect_mask(test, object, verb);
    }
}

TEST(close_verb, "close needs no right, but a live handle that is in no request, and the mask") {
    auto bench = MUST(RingBench::create(test, 4));
    const auto memory = MUST(test.budget().create_memory(1, 0));
    const ObjectReference object(memory.value());
    auto powerless = MUST(object.get_duplicate(0, 0));
    EXPECT_EQ(bench.outcome(ring_close(powerless.handle, 1)), Error::ok);
    EXPECT_EQ(bench.outcome(ring_close(powerless.handle, 1)), Error::bad_handle);
    static_cast<void>(powerless.handle.release());
    expect_stale(test, bench, object, abi::Verb::close);
    expect_mask(test, object, abi::Verb::close);
    auto server = MUST(TableBench::create(test, 1));
    auto moving = MUST(object.get_duplicate(abi::all_rights, 0));
    abi::SubmissionEntry give = ring_operation(server.object, abi::Verb::get, 1, 1);
    give.words[0] = moving.handle.value();
    give.moved_mask = 1;
    EXPECT(!MUST(bench.begin(give)).has_value());
    EXPECT_EQ(bench.outcome(ring_close(moving.handle, 2)), Error::busy);
    abi::SubmissionEntry other = ring_close(moving.handle, 2);
    other.selector = 0xff01;
    EXPECT_EQ(bench.outcome(other), Error::not_supported);
}

TEST(timer_verb, "timers reach as far as time does, and need the mask") {
    auto bench = MUST(RingBench::create(test, 8));
    abi::SubmissionEntry relative = ring_timer(Deadline{0}, 1);
    relative.flags = abi::ring_relative;
    EXPECT_EQ(bench.outcome(relative), Error::ok);
    EXPECT_EQ(bench.outcome(ring_timer(Deadline::poll(), 1)), Error::ok);
    // Now and these are beyond the end of time: never.
    for (const uint64_t far : {~uint64_t{0}, ~uint64_t{0} - 1, ~uint64_t{0} - now() + 1}) {
        relative.deadline = far;
        EXPECT(!MUST(bench.begin(relative)).has_value());
    }
    EXPECT(!MUST(bench.begin(ring_timer(Deadline{~uint64_t{0} - 1}, 2))).has_value());
    sleep_for(milliseconds(2));
    EXPECT_EQ(bench.in_flight(), 4);
    if (test.failed()) return;
    for (unsigned i = 0; i < 4; ++i) {
        *bench.ring.prepare() = ring_cancel(i == 3 ? 2 : 1, 9);
        EXPECT_OK(bench.ring.submit(2));
        for (unsigned k = 0; k < 2; ++k) {
            const auto done = MUST(bench.ring.take());
            EXPECT_EQ(done.code(), done.user_data == 9 ? Error::ok : Error::cancelled);
        }
    }
    auto none =
        MUST(RingBench::create(test, 4, abi::ring_allow_all & ~abi::ring_allow(abi::ring_timer)));
    EXPECT_EQ(none.outcome(ring_timer(Deadline::poll(), 1)), Error::not_granted);
}

TEST(cancel_verb, "a cancel finds only operations of its own ring, and needs the mask") {
    auto bench = MUST(RingBench::create(test, 4));
    auto other = MUST(RingBench::create(test, 4));
    EXPECT(!MUST(bench.begin(ring_timer(Deadline::never(), 7))).has_value());
    EXPECT_EQ(other.outcome(ring_cancel(7, 1)), Error::not_found);
    // Not itself, though it has the number that it looks for.
    EXPECT_EQ(other.outcome(ring_cancel(7, 7)), Error::not_found);
    EXPECT_EQ(bench.in_flight(), 1);
    auto none =
        MUST(RingBench::create(test, 4, abi::ring_allow_all & ~abi::ring_allow(abi::ring_cancel)));
    EXPECT(!MUST(none.begin(ring_timer(Deadline::never(), 7))).has_value());
    EXPECT_EQ(none.outcome(ring_cancel(7, 1)), Error::not_granted);
    EXPECT_EQ(none.in_flight(), 1);
    *bench.ring.prepare() = ring_cancel(7, 8);
    EXPECT_OK(bench.ring.submit(2));
    EXPECT_EQ(bench.in_flight(), 0);
}

TEST(cancel_races, "a cancel and the answer at once: one end each, and the cancel tells which") {
    constexpr uint32_t depth = 16;
    constexpr uint64_t total = 1'600;
    auto bench = MUST(RingBench::create(test, 2 * depth));
    auto server = MUST(TableBench::create(test, 8));
    Crew<2> crew;
    for (unsigned i = 0; i < 2; ++i) {
        EXPECT_OK(crew.add([&] {
            serve(server.table.value(),
                  [](const system::Delivery&) { return system::Reply{.status = {}, .words = {}}; });
        }));
    }
    uint64_t wrong = 0;
    uint64_t by_outcome[3] = {};  // answered, cancelled, unknown
    for (uint64_t round = 0; round < total / depth && wrong == 0; ++round) {
        for (uint64_t i = 0; i < depth; ++i) {
            *bench.ring.prepare() = ring_operation(server.object, abi::Verb::get, 1, i);
        }
        wrong += MUST(bench.ring.submit(static_cast<uint32_t>(round % 4))) != depth;
        for (uint64_t i = 0; i < depth; ++i) *bench.ring.prepare() = ring_cancel(i, depth + i);
        Error ended[2 * depth] = {};
        unsigned seen = 0;
        abi::CompletionEntry done;
        const auto collect = [&] {
            for (; bench.ring.next(done); ++seen) ended[done.user_data] = done.code();
        };
        collect();
        wrong += MUST(bench.ring.submit(2 * depth - seen)) != depth;
        collect();
        wrong += seen != 2 * depth;
        for (unsigned i = 0; i < depth; ++i) {
            const bool given_up =
                ended[i] == Error::cancelled || ended[i] == Error::unknown_outcome;
            if (!given_up && ended[i] != Error::ok) ++wrong;
            const Error told = ended[depth + i];
            const bool late = told == Error::not_found || told == Error::wrong_state;
            if (given_up ? told != Error::ok : !late) ++wrong;
            ++by_outcome[ended[i] == Error::ok ? 0 : ended[i] == Error::cancelled ? 1 : 2];
        }
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(bench.in_flight(), 0);
    // Orphans go when their server answers.
    const uint64_t end = now() + seconds(10).nanoseconds;
    while (MUST(server.table.get_state()).orphans != 0 && now() < end) sleep_for(milliseconds(1));
    EXPECT_EQ(MUST(server.table.get_state()).orphans, 0);
    EXPECT_OK(server.table.shutdown_fault(0));
    EXPECT_OK(crew.join());
    report_count("answered", by_outcome[0]);
    report_count("cancelled", by_outcome[1]);
    report_count("unknown outcomes", by_outcome[2]);
}
