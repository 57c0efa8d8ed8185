// SPDX-License-Identifier: MIT
// Revoking memory that may vanish: mappings made under the lease go, wherever they are.

#include "tests/abi/memory/pages.h"

#include "runtime/semaphore.h"
#include "runtime/thread.h"
#include "tests/guest/small_process.h"

#include <atomic>

namespace annulus::test::cases {

namespace {

constexpr uint64_t count = 200;  // several chunks

struct Lent {
    Object handle;
    uint64_t lease;
};
Result<Lent> lend(ObjectReference memory) {
    auto made = TRY(memory.get_duplicate(abi::all_rights, abi::duplicate_revocable));
    return Lent{std::move(made.handle), made.lease};
}

MemoryReference memory_of(const Lent& lent) { return MemoryReference(lent.handle.value()); }

// Touches all pages of a mapping.
void touch(uint64_t address, uint64_t pages) {
    for (uint64_t i = 0; i < pages; ++i) word_at(address + i * page) = i;
}

// How many pages can still be read, when that has stopped to change for the better.
uint64_t readable_pages(const Probe& probe, uint64_t address, uint64_t pages) {
    uint64_t readable = pages;
    for (unsigned i = 0; i < 1000 && readable > 0; ++i) {
        readable = 0;
        for (uint64_t j = 0; j < pages; ++j) readable += probe.readable(address + j * page);
        if (readable > 0) sleep_for(milliseconds(1));
    }
    return readable;
}

}  // namespace

}  // namespace annulus::test::cases

TEST(revoke_maps, "revoking takes away the mappings made under the lease, and no others") {
    const auto probe = MUST(Probe::create(test.budget()));
    const auto before = settled_ledger(test.budget());
    const auto own = settled_ledger(own_budget(test));
    for (const uint64_t flags : {abi::memory_revocable, uint64_t{0}}) {
        const bool vanishes = flags != 0;
        const auto memory = MUST(test.budget().create_memory(count, flags));
        auto lent = MUST(lend(memory));
        const uint64_t mine = MUST(test.process().map(memory, 0, count * page, 0, read_write));
        const uint64_t theirs =
            MUST(test.process().map(memory_of(lent), 0, count * page, 0, read_write));
        const uint64_t part =
            MUST(test.process().map(memory_of(lent), 3 * page, page, 0, abi::map_read));
        touch(mine, count);
        touch(theirs, count);
        EXPECT(probe.readable(part));
        // A mapping that will vanish keeps the lease.
        if (vanishes) lent.handle.close();
        EXPECT_OK(memory.close_revoke(lent.lease));
        if (vanishes) {
            EXPECT_EQ(readable_pages(probe, theirs, count), 0);
            EXPECT_EQ(readable_pages(probe, part, 1), 0);
        } else {
            EXPECT(probe.readable(theirs) && probe.readable(part));
        }
        EXPECT(probe.writable(mine));
        EXPECT_EQ(word_at(mine + 7 * page) + 0, 7);
        EXPECT_OK(test.process().map_unmap(mine, count * page));
        EXPECT_OK(test.process().map_unmap(theirs, count * page));
        EXPECT_OK(test.process().map_unmap(part, page));
    }
    expect_returned(test, test.budget(), before, "the payer", 6);
    expect_returned(test, own_budget(test), own, "the mapper", 6);
}

TEST(revoke_before, "memory cannot be mapped under a lease that was revoked") {
    const auto memory = MUST(test.budget().create_memory(4, abi::memory_revocable));
    const auto lent = MUST(lend(memory));
    EXPECT_OK(memory.close_revoke(lent.lease));
    EXPECT_ERROR(test.process().map(memory_of(lent), 0, page, 0, abi::map_read), Error::revoked);
}

TEST(revoke_below, "mappings under leases below a revoked one go, too; ranges are no way round") {
    const auto probe = MUST(Probe::create(test.budget()));
    const auto before = settled_ledger(own_budget(test));
    {
        const auto memory = MUST(test.budget().create_memory(count, abi::memory_revocable));
        const auto first = MUST(lend(memory));
        const auto second = MUST(lend(first.handle));
        const auto range = MUST(memory_of(second).create_range(test.budget(), page, 2));
        const uint64_t whole =
            MUST(test.process().map(memory_of(second), 0, count * page, 0, read_write));
        const uint64_t piece = MUST(test.process().map(range, 0, 2 * page, 0, read_write));
        touch(whole, count);
        touch(piece, 2);
        EXPECT_OK(memory.close_revoke(first.lease));
        EXPECT_EQ(readable_pages(probe, whole, count), 0);
        EXPECT_EQ(readable_pages(probe, piece, 2), 0);
    }
    expect_returned(test, own_budget(test), before, "the mapper", 4);
}

TEST(revoke_parts, "a mapping that was cut into parts goes as a whole") {
    const auto probe = MUST(Probe::create(test.budget()));
    const auto before = settled_ledger(own_budget(test));
    {
        const auto memory = MUST(test.budget().create_memory(count, abi::memory_revocable));
        const auto lent = MUST(lend(memory));
        const uint64_t at =
            MUST(test.process().map(memory_of(lent), 0, count * page, 0, read_write));
        touch(at, count);
        EXPECT_OK(test.process().map_unmap(at + 10 * page, page));
        EXPECT_OK(test.process().map_protect(at + 50 * page, 3 * page, abi::map_read));
        EXPECT(probe.readable(at) && probe.readable(at + 60 * page));
        EXPECT_OK(memory.close_revoke(lent.lease));
        EXPECT_EQ(readable_pages(probe, at, count), 0);
        // The addresses are free again.
        EXPECT_OK(test.process().map_unmap(at, count * page));
        EXPECT_OK(test.process().map(memory, 0, page, at, read_write | abi::map_fixed));
        EXPECT_OK(test.process().map_unmap(at, page));
    }
    expect_returned(test, own_budget(test), before, "the mapper", 4);
}

TEST(revoke_faults, "who uses revoked memory faults; its owner goes on") {
    const auto code = MUST(make_small_code(test.budget()));
    const auto memory = MUST(test.budget().create_memory(2, abi::memory_revocable));
    const auto lent = MUST(lend(memory));
    const auto process = MUST(SmallProcess::create(test.budget(), code));
    const auto faulted =
        MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, MemoryReference(), 0));
    EXPECT_OK(process.process().watch_fault(faulted));
    constexpr uint64_t at = 0x900000;
    EXPECT_OK(
        process.process().map(memory_of(lent), 0, 2 * page, at, abi::map_read | abi::map_fixed));
    // Each word leads to itself, so it reads for ever.
    EXPECT_OK(set_word(memory, 0, at));
    const auto thread = MUST(process.start(small_follow, at));
    sleep_for(milliseconds(3));
    EXPECT_ERROR(wait_for(faulted, Deadline::poll()), Error::timed_out);
    EXPECT_OK(memory.close_revoke(lent.lease));
    EXPECT_OK(wait_for(faulted, Deadline::after(seconds(10))));
    const auto state = MUST(thread.get_state());
    EXPECT_EQ(state.fault, abi::FaultKind::page_read);
    EXPECT_EQ(state.fault_address, at);
    EXPECT_EQ(MUST(word_of(memory, 0)), at);
    EXPECT_OK(process.process().remove_kill(0));
}

TEST(revoke_races, "revoking while others map, cut, unmap and read hurts nobody") {
    const auto probe = MUST(Probe::create(test.budget()));
    const auto before = settled_ledger(own_budget(test));
    uint64_t mapped = 0;
    for (unsigned round = 0; round < 60 && !test.failed(); ++round) {
        const auto memory = MUST(test.budget().create_memory(70, abi::memory_revocable));
        const auto lent = MUST(lend(memory));
        std::atomic<bool> stop = false;
        auto other = MUST(start_thread([&] {
            while (!stop.load()) {
                const auto at = test.process().map(memory_of(lent), 0, 70 * page, 0, read_write);
                if (!at.ok()) {
                    if (at.error() != Error::revoked)
                        test.fail("map answered {}", abi::name_of(at.error()));
                    continue;
                }
                ++mapped;
                static_cast<void>(probe.writable(*at + 20 * page));
                static_cast<void>(test.process().map_unmap(*at + 30 * page, page));
                static_cast<void>(probe.readable(*at + 69 * page));
                static_cast<void>(test.process().map_unmap(*at, 70 * page));
            }
        }));
        sleep_for(microseconds(300 + 50 * (round % 20)));
        EXPECT_OK(memory.close_revoke(lent.lease));
        sleep_for(microseconds(200));
        stop = true;
        EXPECT_OK(other.join());
    }
    report_count("mappings made", mapped);
    expect_returned(test, own_budget(test), before, "the mapper", 60);
}
