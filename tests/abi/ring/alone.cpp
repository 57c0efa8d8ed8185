// SPDX-License-Identifier: MIT
// One nop alone: the short way of enter, which must do what the general one does, and nothing else
// (kernel/arch/x86_64/syscall/ring_path.S).

#include "tests/abi/ring/bench.h"
#include "tests/guest/child.h"
#include "tests/guest/ledger.h"

#include <vector>

namespace annulus::test::cases {
namespace {

constexpr uint32_t entries = 8;

volatile uint32_t& index_of(ClientRing& ring, uint32_t offset) {
    // Safety: within the queues, which are mapped.
    return *reinterpret_cast<volatile uint32_t*>(ring.queues().begin() + offset);
}

// A ring whose next nop with this handle is one that is known.
void warm(Context& test, ClientRing& ring, abi::Handle handle) {
    for (unsigned i = 0; i < 2; ++i) {
        EXPECT(ring.queues().prepare_nop(i, handle));
        EXPECT_EQ(MUST(ring.submit()), 1);
        EXPECT_OK(ring.take());
    }
}

constexpr uint64_t steps = 4000;

// What a ring answers to one step, as one word: the call's answer and all completions that are
// read.
class Trace {
public:
    void add(uint64_t value) { word_ = (word_ ^ value) * 0x9e3779b97f4a7c15 + (word_ >> 29); }
    uint64_t word() const { return word_; }

private:
    uint64_t word_ = 1;
};

// Mostly one nop with a known handle, everything read and nothing to wait for; and whatever is near
// that. The same for each ring.
void step(Context& test, ClientRing& ring, uint64_t round, uint64_t state,
          std::span<const HandleValue, 4> handles, Trace& trace) {
    const uint64_t number = (state >> 4) % 8 == 0 ? (state >> 7) % 4 : 1;
    for (uint64_t i = 0; i < number; ++i) {
        const HandleValue handle =
            handles[(state >> 10) % 8 == 0 ? (state >> 13) % 4 : round / 30 % 2];
        abi::SubmissionEntry* entry = ring.prepare();
        if (entry == nullptr) break;
        *entry = ring_nop(round, handle);
        if ((state >> 24) % 16 == 0) *entry = ring_cancel(~uint64_t{0}, round);  // there is none
        if ((state >> 16) % 16 == 0) entry->flags = static_cast<uint8_t>(state >> 20 & 9);
        if ((state >> 28) % 32 == 0) entry->verb = 200;
    }
    ring.queues().publish();
    const uint64_t wanted[] = {0, 1, 2, abi::enter_only_waits, abi::enter_only_waits | 1, 9};
    const auto answer = system::enter(
        ring.handle().value(), (state >> 33) % 8 == 0 ? wanted[(state >> 36) % 6] : state >> 39 & 1,
        abi::deadline_poll);
    EXPECT(answer.accepted <= entries);
    trace.add(answer.status.bits);
    trace.add(answer.accepted);
    trace.add(answer.unread);
    uint64_t count = (state >> 40) % 8 == 0 ? (state >> 43) % 2 : entries;
    for (abi::CompletionEntry done; count > 0 && ring.next(done); --count) {
        trace.add(done.user_data);
        trace.add(static_cast<uint32_t>(done.status));
        trace.add(done.count);
    }
}

// A handle is closed now and then, and its value goes on being used.
void trace_all(Context& test, ClientRing& ring, std::vector<uint64_t>& words) {
    const auto memory = MUST(test.budget().create_memory(1, 0));
    const auto leased = MUST(memory.get_duplicate(abi::all_rights, abi::duplicate_revocable));
    auto shortlived = MUST(memory.get_duplicate(abi::all_rights, 0));
    HandleValue value(shortlived.handle.value());
    Trace trace;
    uint64_t state = 88172645463325252;
    for (uint64_t round = 0; round < steps; ++round) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        if (round % 100 == 50) shortlived.handle.close();
        if (round % 100 == 60) {
            shortlived = MUST(memory.get_duplicate(abi::all_rights, 0));
            value = HandleValue(shortlived.handle.value());
        }
        const HandleValue handles[] = {HandleValue(memory.value()), value,
                                       HandleValue(leased.handle.value()), HandleValue()};
        step(test, ring, round, state, handles, trace);
        words.push_back(trace.word());
    }
}

// Single nops without end.
void enter_for_ever(Child::Word* words) {
    const uint64_t create = abi::operation_word(abi::Verb::create, 8) | abi::call_takes_handles;
    const auto made = system::call_words(words[0].load(), create, entries, words[1].load(), 0,
                                         abi::ring_allow_all);
    if (!made.status.ok()) system::exit(1);
    // Safety: the parent says where it mapped the memory, in both address spaces.
    RingQueues queues(reinterpret_cast<std::byte*>(words[2].load()), entries);
    for (uint64_t i = 0;; ++i) {
        if (!queues.prepare_nop(i, words[1].load())) system::exit(2);
        queues.publish();
        if (!system::enter(made.words[0]).status.ok()) system::exit(3);
        abi::CompletionEntry done;
        if (!queues.next(done) || !done.ok() || done.user_data != i) system::exit(4);
        words[3].store(i + 1);
    }
}

}  // namespace
}  // namespace annulus::test::cases

TEST(alone_agrees, "a nop alone ends as on a ring that always takes the general way") {
    auto quick = MUST(ClientRing::create(test.budget(), test.process(), entries));
    auto watched = MUST(ClientRing::create(test.budget(), test.process(), entries));
    const auto bell = MUST(test.budget().create_semaphore(abi::semaphore_binary, 0, {}, 0));
    EXPECT_OK(watched.handle().watch_completion(bell));
    // One after the other: the short way is for the ring that was entered last.
    std::vector<uint64_t> expected;
    std::vector<uint64_t> seen;
    trace_all(test, watched, expected);
    trace_all(test, quick, seen);
    uint64_t same = 0;
    while (same < expected.size() && same < seen.size() && seen[same] == expected[same]) ++same;
    EXPECT_EQ(same, steps);
}

TEST(alone_registers, "what enter brings back beside its answer is the caller's or in the queues") {
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), entries));
    const abi::Handle handle = test.process().value();
    warm(test, ring, handle);
    for (const bool known : {true, true, false}) {
        EXPECT(ring.queues().prepare_nop(77, known ? handle : 0));
        ring.queues().publish();
        constexpr uint64_t own = 0x5ec2e75ec2e7;
        system::Registers registers = {.rax = static_cast<uint64_t>(abi::SystemCall::enter),
                                       .rbx = own,
                                       .rdx = own,
                                       .rsi = 1,
                                       .rdi = ring.handle().value(),
                                       .rbp = own + 1,
                                       .r8 = own,
                                       .r9 = own,
                                       .r10 = abi::deadline_never,
                                       .r12 = own + 2,
                                       .r13 = own + 3,
                                       .r14 = own + 4,
                                       .r15 = own + 5};
        system::annulus_raw_system_call(&registers);
        EXPECT_EQ(registers.rax, 0);
        EXPECT_EQ(registers.rdx, 1);
        EXPECT_EQ(registers.rsi, 1);
        EXPECT_EQ(registers.rbx, own);
        EXPECT_EQ(registers.rbp, own + 1);
        EXPECT_EQ(registers.r12, own + 2);
        EXPECT_EQ(registers.r13, own + 3);
        EXPECT_EQ(registers.r14, own + 4);
        EXPECT_EQ(registers.r15, own + 5);
        for (const uint64_t other : {registers.rdi, registers.r8, registers.r9}) {
            EXPECT(other <= 77);  // an index, or the entry's user_data; no address
        }
        EXPECT(registers.r10 == 0 || registers.r10 == abi::deadline_never);
        EXPECT_OK(ring.take());
    }
}

TEST(alone_hostile, "wrong indices fault a ring that takes nops alone, and are no harm before") {
    struct Lie {
        uint32_t offset;
        uint32_t by;  // added to the right value
        bool faults;
    };
    const Lie lies[] = {{abi::ring_submission_tail, entries, true},
                        {abi::ring_submission_tail, ~uint32_t{0} - 1, true},
                        {abi::ring_submission_tail, 0x80000000, true},
                        {abi::ring_completion_head, 1, true},
                        {abi::ring_completion_head, ~uint32_t{0} - 1, true},
                        {abi::ring_completion_head, 0x80000000, true},
                        {abi::ring_submission_head, 5, false},
                        {abi::ring_completion_tail, 5, false}};
    const abi::Handle handle = test.process().value();
    for (const Lie& lie : lies) {
        auto ring = MUST(ClientRing::create(test.budget(), test.process(), entries));
        warm(test, ring, handle);
        EXPECT(ring.queues().prepare_nop(9, handle));
        ring.queues().publish();
        index_of(ring, lie.offset) = index_of(ring, lie.offset) + lie.by;
        const auto answer = system::enter(ring.handle().value());
        EXPECT_EQ(answer.status.code(), lie.faults ? Error::faulted : Error::ok);
        EXPECT_EQ(answer.accepted, lie.faults ? 0 : 1);
        EXPECT_EQ(MUST(ring.handle().get_state()).faulted, lie.faults ? 1 : 0);
        // The kernel's indices are its own.
        if (!lie.faults) {
            EXPECT_EQ(index_of(ring, abi::ring_submission_head), 3u);
            EXPECT_EQ(index_of(ring, abi::ring_completion_tail), 3u);
        }
    }
}

TEST(alone_killed, "a thread that is killed amid nops alone leaves nothing behind") {
    const abi::BudgetLedger before = settled_ledger(test.budget());
    uint64_t total = 0;
    for (unsigned i = 0; i < 12 && !test.failed(); ++i) {
        auto child = MUST(Child::create(test.budget(), test.process(), test.budget()));
        const auto memory = MUST(test.budget().create_memory(1, 0));
        const uint64_t begin =
            MUST(child.process().map(memory, 0, abi::page_size, 0, abi::map_read | abi::map_write));
        child.words()[0] = MUST(child.lend(test.budget()));
        child.words()[1] = MUST(child.lend(memory));
        child.words()[2] = begin;
        EXPECT_OK(child.start(enter_for_ever));
        for (unsigned turn = 0; turn < 500 && child.words()[3].load() < 100; ++turn) {
            sleep_for(milliseconds(1));
        }
        sleep_for(microseconds(150 * i));
        EXPECT_OK(child.kill());
        EXPECT(child.words()[3].load() >= 100);
        total += child.words()[3].load();
    }
    expect_returned(test, test.budget(), before, "killed clients", 4);
    report_count("nops of killed clients", total);
}
