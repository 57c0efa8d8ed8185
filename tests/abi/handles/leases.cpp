// SPDX-License-Identifier: MIT
// Duplicates, closing, generations, and trees of leases.

#include "abi/operations.h"
#include "runtime/semaphore.h"
#include "runtime/thread.h"
#include "tests/guest/ledger.h"

#include <array>
#include <atomic>
#include <memory>

namespace annulus::test::cases {

namespace {

constexpr auto kernel_bytes = static_cast<unsigned>(abi::Resource::kernel_bytes);
constexpr auto leases = static_cast<unsigned>(abi::Resource::leases);

Result<Semaphore> make_semaphore(Context& test) {
    return test.budget().create_semaphore(abi::semaphore_counting, 5, MemoryReference(), 0);
}

// A lease and the handle under it.
struct Leased {
    Object handle;
    uint64_t lease = 0;
};
Result<Leased> lease_out(ObjectReference object) {
    auto made = TRY(object.get_duplicate(abi::all_rights, abi::duplicate_revocable));
    return Leased{std::move(made.handle), made.lease};
}

Error answer_of(const ObjectReference& object) { return object.get_info().error(); }

}  // namespace

}  // namespace annulus::test::cases

TEST(duplicate_rights, "a duplicate has the rights asked for that the handle has, and no others") {
    const auto semaphore = MUST(make_semaphore(test));
    const auto first = MUST(semaphore.get_duplicate(0x0000ff, 0));
    EXPECT_EQ(MUST(first.handle.get_info()).rights, 0xffu);
    EXPECT_EQ(first.lease, 0u);
    const auto second = MUST(first.handle.get_duplicate(0xffff0f, 0));
    EXPECT_EQ(MUST(second.handle.get_info()).rights, 0x0fu);
    const auto third = MUST(second.handle.get_duplicate(~uint64_t{0}, 0));
    EXPECT_EQ(MUST(third.handle.get_info()).rights, 0x0fu);
    EXPECT_EQ(MUST(semaphore.get_info()).rights, abi::all_rights);
}

TEST(close_one, "closing one of two handles leaves the other, and the value names nothing then") {
    auto semaphore = MUST(make_semaphore(test));
    auto second = MUST(semaphore.get_duplicate(abi::all_rights, 0)).handle;
    const ObjectReference old(second.value());
    second.close();
    EXPECT_ERROR(old.get_info(), Error::bad_handle);
    constexpr uint64_t close = abi::operation_word(abi::Verb::close, abi::selector_universal);
    EXPECT_ERROR(system::call_words(old.value(), close).status, Error::bad_handle);
    EXPECT_EQ(MUST(semaphore.get_state()).value, 5u);
}

TEST(last_close, "the last close takes the object's cost off the budget") {
    const auto before = settled_ledger(test.budget());
    {
        auto semaphore = MUST(make_semaphore(test));
        const auto second = MUST(semaphore.get_duplicate(abi::all_rights, 0));
        semaphore.close();
        const auto during = MUST(test.budget().get_ledger());
        EXPECT(during.used[kernel_bytes] > before.used[kernel_bytes]);
    }
    expect_returned(test, test.budget(), before, "after the last close");
}

TEST(generations, "a slot that is used again answers to none of its earlier handles") {
    const auto semaphore = MUST(make_semaphore(test));
    std::array<abi::Handle, 200> old;
    for (abi::Handle& handle : old) {
        handle = MUST(semaphore.get_duplicate(abi::all_rights, 0)).handle.value();
    }
    const auto live = MUST(semaphore.get_duplicate(abi::all_rights, 0)).handle;
    for (const abi::Handle handle : old) {
        EXPECT_EQ(abi::slot_of(handle), abi::slot_of(live.value()));
        EXPECT(handle != live.value());
        EXPECT_ERROR(ObjectReference(handle).get_info(), Error::bad_handle);
    }
    for (size_t i = 0; i + 1 < old.size(); ++i) EXPECT(old[i] != old[i + 1]);
    EXPECT_OK(live.get_info());
}

TEST(table_full,
     "a full handle table answers no_room, charges nothing, and has room after a close") {
    constexpr uint64_t slots_max = 8192;
    const auto semaphore = MUST(make_semaphore(test));
    const auto handles = std::unique_ptr<abi::Handle[]>(new (std::nothrow) abi::Handle[slots_max]);
    EXPECT(handles != nullptr);
    if (handles == nullptr) return;
    uint64_t count = 0;
    Error error = Error::ok;
    while (count < slots_max) {
        auto made = semaphore.get_duplicate(0, 0);
        if (!made.ok()) {
            error = made.error();
            break;
        }
        handles[count++] = made->handle.release();
    }
    EXPECT_EQ(error, Error::no_room);
    const auto before = MUST(own_budget(test).get_ledger());
    EXPECT_ERROR(make_semaphore(test), Error::no_room);
    EXPECT_ERROR(test.budget().create_memory(1, 0), Error::no_room);
    EXPECT_ERROR(test.budget().create_process(16, 0), Error::no_room);
    EXPECT_ERROR(semaphore.get_duplicate(0, abi::duplicate_revocable), Error::no_room);
    const auto after = MUST(own_budget(test).get_ledger());
    EXPECT_EQ(after.used[leases], before.used[leases]);
    if (count > 0) close_handle(handles[--count]);
    EXPECT_OK(semaphore.get_duplicate(0, 0));
    report_count("handles of a full table", count);
    while (count > 0) close_handle(handles[--count]);
}

TEST(revoke_one, "revoking ends the lease's handle and no other") {
    const auto semaphore = MUST(make_semaphore(test));
    const auto first = MUST(lease_out(semaphore));
    const auto second = MUST(lease_out(semaphore));
    EXPECT_OK(first.handle.get_info());
    EXPECT_OK(semaphore.close_revoke(first.lease));
    EXPECT_EQ(answer_of(first.handle), Error::revoked);
    EXPECT_OK(second.handle.get_info());
    EXPECT_OK(semaphore.get_state());
}

TEST(revoke_unknown, "a lease that is none, ended, or another's answers not_found") {
    const auto semaphore = MUST(make_semaphore(test));
    auto leased = MUST(lease_out(semaphore));
    for (const uint64_t lease :
         {uint64_t{0}, uint64_t{1}, leased.lease + 1, leased.lease + (uint64_t{1} << 32),
          leased.lease - (uint64_t{1} << 32), ~uint64_t{0}, uint64_t{0xffffffff},
          leased.lease & 0xffffffff}) {
        EXPECT_ERROR(semaphore.close_revoke(lease), Error::not_found);
    }
    EXPECT_OK(leased.handle.get_info());
    EXPECT_OK(semaphore.close_revoke(leased.lease));
    EXPECT_ERROR(semaphore.close_revoke(leased.lease), Error::not_found);
    // A lease ends with the last handle under it.
    auto other = MUST(lease_out(semaphore));
    other.handle.close();
    EXPECT_ERROR(semaphore.close_revoke(other.lease), Error::not_found);
}

TEST(revoked_closes, "a revoked handle still occupies its slot and can be closed") {
    const auto semaphore = MUST(make_semaphore(test));
    auto leased = MUST(lease_out(semaphore));
    const auto before = MUST(test.process().get_state());
    EXPECT_OK(semaphore.close_revoke(leased.lease));
    EXPECT_EQ(MUST(test.process().get_state()).handles, before.handles);
    constexpr uint64_t close = abi::operation_word(abi::Verb::close, abi::selector_universal);
    const abi::Handle handle = leased.handle.release();
    EXPECT_OK(system::call_words(handle, close).status);
    EXPECT_EQ(MUST(test.process().get_state()).handles, before.handles - 1);
    EXPECT_ERROR(system::call_words(handle, close).status, Error::bad_handle);
}

TEST(lease_inherited, "duplicates of a leased handle end with its lease, revocable or not") {
    const auto semaphore = MUST(make_semaphore(test));
    const auto leased = MUST(lease_out(semaphore));
    const auto plain = MUST(leased.handle.get_duplicate(abi::all_rights, 0));
    EXPECT_EQ(plain.lease, 0u);
    const auto below = MUST(lease_out(leased.handle));
    const auto plain_below = MUST(below.handle.get_duplicate(abi::all_rights, 0));
    EXPECT_OK(semaphore.close_revoke(below.lease));
    EXPECT_EQ(answer_of(below.handle), Error::revoked);
    EXPECT_EQ(answer_of(plain_below.handle), Error::revoked);
    EXPECT_OK(leased.handle.get_info());
    EXPECT_OK(plain.handle.get_info());
    EXPECT_OK(semaphore.close_revoke(leased.lease));
    EXPECT_EQ(answer_of(leased.handle), Error::revoked);
    EXPECT_EQ(answer_of(plain.handle), Error::revoked);
}

TEST(lease_depth, "leases nest to the named depth, and one deeper answers too_deep") {
    const auto semaphore = MUST(make_semaphore(test));
    std::array<Leased, abi::lease_depth_max> chain;
    ObjectReference above = semaphore;
    for (Leased& one : chain) {
        one = MUST(lease_out(above));
        above = one.handle;
    }
    const auto before = MUST(own_budget(test).get_ledger());
    const auto state = MUST(test.process().get_state());
    // It would be number lease_depth_max + 1.
    EXPECT_ERROR(above.get_duplicate(abi::all_rights, abi::duplicate_revocable), Error::too_deep);
    EXPECT_OK(above.get_duplicate(abi::all_rights, 0));
    const auto after = MUST(own_budget(test).get_ledger());
    EXPECT_EQ(after.used[leases], before.used[leases]);
    EXPECT_EQ(after.used[kernel_bytes], before.used[kernel_bytes]);
    EXPECT_EQ(MUST(test.process().get_state()).handles, state.handles);
    // From the middle, and from the top.
    for (const unsigned cut : {abi::lease_depth_max / 2, 0u}) {
        EXPECT_OK(semaphore.close_revoke(chain[cut].lease));
        for (unsigned i = 0; i < chain.size(); ++i) {
            EXPECT_EQ(answer_of(chain[i].handle), i < cut ? Error::ok : Error::revoked);
        }
    }
    EXPECT_EQ(answer_of(semaphore), Error::ok);
}

TEST(wide_tree,
     "when revoking answers, every lease below answers revoked, however many there are") {
    constexpr unsigned width = 300;  // several chunks
    const auto below = std::unique_ptr<Leased[]>(new (std::nothrow) Leased[width]);
    if (below == nullptr) return test.fail("no memory");
    const auto before = settled_ledger(own_budget(test));
    {
        const auto semaphore = MUST(make_semaphore(test));
        const auto top = MUST(lease_out(semaphore));
        for (unsigned i = 0; i < width; ++i) {
            below[i] = MUST(lease_out(i % 3 == 2 ? below[i - 1].handle : top.handle));
        }
        EXPECT_EQ(MUST(own_budget(test).get_ledger()).used[leases],
                  before.used[leases] + width + 1);
        EXPECT_OK(semaphore.close_revoke(top.lease));
        unsigned alive = 0;
        for (unsigned i = 0; i < width; ++i) alive += answer_of(below[i].handle) != Error::revoked;
        EXPECT_EQ(alive, 0u);
        EXPECT_EQ(answer_of(top.handle), Error::revoked);
        for (unsigned i = 0; i < width; ++i) below[i].handle.close();
    }
    expect_returned(test, own_budget(test), before, "after the leases");
}

TEST(leases_return, "leases made and dropped in any order leave nothing on the budget") {
    const auto semaphore = MUST(make_semaphore(test));
    const auto before = settled_ledger(own_budget(test));
    for (unsigned round = 0; round < 300; ++round) {
        auto outer = MUST(lease_out(semaphore));
        auto inner = MUST(lease_out(outer.handle));
        if (round % 4 == 0) outer.handle.close();
        if (round % 4 == 1) inner.handle.close();
        if (round % 4 == 2) EXPECT_OK(semaphore.close_revoke(outer.lease));
        if (round % 4 == 0) EXPECT_OK(inner.handle.get_info());
    }
    expect_returned(test, own_budget(test), before, "after the leases");
}

TEST(lease_of_range, "a range made through a leased handle ends with the lease; mappings stay") {
    const auto memory = MUST(test.budget().create_memory(2, 0));
    auto leased = MUST(lease_out(memory));
    const MemoryReference lent(leased.handle.value());
    const auto range = MUST(lent.create_range(test.budget(), abi::page_size, 1));
    const uint64_t address =
        MUST(test.process().map(lent, 0, abi::page_size, 0, abi::map_read | abi::map_write));
    EXPECT_OK(memory.close_revoke(leased.lease));
    EXPECT_ERROR(range.get_size(), Error::revoked);
    std::array<std::byte, 8> bytes = {};
    EXPECT_ERROR(range.read_bytes(0, bytes), Error::revoked);
    EXPECT_ERROR(lent.read_bytes(0, bytes), Error::revoked);
    EXPECT_ERROR(test.process().map(lent, 0, abi::page_size, 0, abi::map_read), Error::revoked);
    // Safety: mapped above.
    auto* word = reinterpret_cast<volatile uint64_t*>(address);
    *word = 77;
    EXPECT_EQ(static_cast<uint64_t>(*word), 77u);
    EXPECT_OK(memory.read_bytes(0, bytes));
    EXPECT_EQ(static_cast<uint8_t>(bytes[0]), 77u);
    EXPECT_OK(test.process().map_unmap(address, abi::page_size));
}

TEST(busy, "a handle in a queued request is busy for everything, and free again with the answer") {
    const auto table = MUST(test.budget().create_table(1, 0, MemoryReference(), 0));
    const auto served = MUST(table.create_object(1, abi::all_rights, 0));
    auto semaphore = MUST(make_semaphore(test));
    const auto memory = MUST(test.budget().create_memory(1, 0));
    auto moving_memory = MUST(memory.get_duplicate(abi::all_rights, 0)).handle;
    std::atomic<uint64_t> status = 0;
    constexpr uint64_t send = abi::operation_word(abi::Verb::share, 7, 3);
    auto client = MUST(start_thread([&] {
        status = system::call_words(served.value(), send, semaphore.value(), moving_memory.value())
                     .status.bits;
    }));
    while (MUST(table.get_state()).queued == 0) sleep_for(milliseconds(1));
    constexpr uint64_t close = abi::operation_word(abi::Verb::close, abi::selector_universal);
    for (const abi::Handle handle : {semaphore.value(), moving_memory.value()}) {
        EXPECT_ERROR(ObjectReference(handle).get_info(), Error::busy);
        EXPECT_ERROR(ObjectReference(handle).get_duplicate(0, 0), Error::busy);
        EXPECT_ERROR(system::call_words(handle, close).status, Error::busy);
    }
    EXPECT_ERROR(system::wait(semaphore.value(), 0, 0).status, Error::busy);
    EXPECT_ERROR(system::signal(semaphore.value()), Error::busy);
    const MemoryReference busy_memory(moving_memory.value());
    std::array<std::byte, 8> bytes = {};
    EXPECT_ERROR(busy_memory.read_bytes(0, bytes), Error::busy);
    const auto mapped =
        test.process().map(busy_memory, 0, abi::page_size, 0, abi::map_read).status();
    EXPECT(mapped == Status(Error::busy, 0, 1));
    const auto process = MUST(test.budget().create_process(16, 0));
    constexpr uint64_t install = abi::operation_word(abi::Verb::share, 0, 1);
    EXPECT_ERROR(system::call_words(process.value(), install, semaphore.value()).status,
                 Error::busy);
    EXPECT_ERROR(system::call_words(served.value(), send, semaphore.value()).status, Error::busy);
    // Taken: the handles have moved, here within one table, and the old values name nothing.
    const auto taken = system::reply_and_wait(table.value(), 0, {}, abi::deadline_never);
    EXPECT_OK(taken.status);
    EXPECT_EQ(taken.header.handle_mask(), 3u);
    EXPECT_ERROR(semaphore.get_state(), Error::bad_handle);
    EXPECT_ERROR(memory.get_size(), Error::ok);
    const Semaphore arrived(taken.words[0]);
    const Memory arrived_memory(taken.words[1]);
    EXPECT_OK(arrived.get_state());
    EXPECT_OK(arrived_memory.get_size());
    const auto replied =
        system::reply_and_wait(table.value(), taken.request, {}, 0, abi::reply_only);
    EXPECT_OK(replied.status);
    EXPECT_OK(client.join());
    EXPECT_OK(Status(status.load()));
    static_cast<void>(semaphore.release());
    static_cast<void>(moving_memory.release());
}
