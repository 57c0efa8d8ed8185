// SPDX-License-Identifier: MIT
// Tables used by several CPUs at once: every request is delivered once and answered once, every
// event of a bound set is delivered once, and whoever waits when a table ends is told.
#include "kernel/object/table.h"

#include "kernel/object/semaphore.h"
#include "kernel/object/semaphore_set.h"
#include "tests/support/kernel_crowd.h"

#include <gtest/gtest.h>

#include <sched.h>

#include <array>
#include <vector>

namespace annulus::kernel {
namespace {

using test::InKernel;
using test::MachineThread;

MachineThread& me() { return test::KernelCrowd::me(); }

constexpr uint64_t answer_to(uint64_t word) { return word * 2 + 1; }

// What the server threads saw.
struct Seen {
    std::atomic<unsigned> requests{0};
    std::atomic<unsigned> gone{0};  // answered, and nobody waited for it any more
    std::atomic<unsigned> events{0};
    std::atomic<unsigned> closes{0};
};

class TableThreads : public testing::Test {
protected:
    void make_table(uint64_t slots) {
        table =
            Table::create(machine.root(), slots, 0, nullptr, 0, machine.process()).value().leak();
        table_handle = machine.name(*table);
    }
    abi::Handle make_object(uint64_t cookie) {
        return machine.name(*table->create_object(machine.root(), cookie).value().leak());
    }

    // Serves until `over`, and some time more. Half of the servers poll.
    void serve(Seen& seen, const std::atomic<bool>& over, uint64_t deadline) {
        uint64_t request = 0;
        uint64_t word = 0;
        while (!over || request != 0) {
            const Status status = me().reply_and_wait(table_handle, request, word, deadline);
            const bool was_gone = (status.detail() & abi::delivery_client_gone) != 0;
            seen.gone += was_gone && request != 0;
            request = 0;
            if (!status.ok()) {
                if (ended(status)) return;
                continue;
            }
            const Message& message = me().message();
            if ((status.detail() & abi::delivery_event) != 0) {
                ++seen.events;
            } else if ((status.detail() & abi::delivery_close) != 0) {
                ++seen.closes;
            } else {
                ++seen.requests;
                request = message.rsi;
                word = answer_to(message.rdx);
            }
        }
    }
    static bool ended(Status status) {
        const bool known = status.code() == Error::timed_out || status.code() == Error::cancelled;
        EXPECT_TRUE(known || status.code() == Error::bad_handle ||
                    status.code() == Error::server_died)
            << static_cast<unsigned>(status.code());
        return !known;
    }

    // Calls until it has got `rounds` answers. How many calls came to nothing.
    static unsigned ask(abi::Handle object, unsigned rounds, uint64_t first) {
        unsigned failed = 0;
        for (unsigned i = 0; i < rounds;) {
            const Status status = me().ask(object, first + i);
            if (!status.ok()) {
                EXPECT_TRUE(status.code() == Error::cancelled ||
                            status.code() == Error::unknown_outcome)
                    << static_cast<unsigned>(status.code());
                ++failed;
                continue;
            }
            EXPECT_EQ(me().message().rdx, answer_to(first + i));
            ++i;
        }
        return failed;
    }

    test::KernelMachine machine;
    test::KernelCrowd crowd{machine};
    Table* table = nullptr;
    abi::Handle table_handle = abi::no_handle;
};

TEST_F(TableThreads, EveryCallHasItsOwnAnswer) {
    constexpr unsigned rounds = 4'000;
    constexpr unsigned clients = 4;
    make_table(3);  // fewer than clients: some wait for a slot
    const abi::Handle object = make_object(7);
    Seen seen;
    std::atomic<bool> over{false};
    std::atomic<unsigned> busy{clients};
    std::atomic<unsigned> failed{0};
    const auto client = [&](uint64_t first) {
        failed += ask(object, rounds, first);
        over = --busy == 0;
    };
    crowd.run({[&] { client(0); }, [&] { client(1'000'000); }, [&] { client(2'000'000); },
               [&] { client(3'000'000); }, [&] { serve(seen, over, abi::deadline_never); },
               [&] { serve(seen, over, 500); }});
    // Whatever was delivered was answered; what failed was delivered, or not.
    EXPECT_GE(seen.requests, clients * rounds);
    EXPECT_LE(seen.requests, clients * rounds + failed);
    EXPECT_LE(seen.gone, failed);
    const Table::Counts counts = table->counts();
    EXPECT_EQ(counts.queued + counts.taken + counts.orphans, 0u);
    machine.close(object);
    machine.close(table_handle);
}

TEST_F(TableThreads, EveryEventIsDeliveredOnceBetweenRequests) {
    constexpr unsigned rounds = 3'000;
    constexpr unsigned count = 3;
    make_table(4);
    const abi::Handle object = make_object(7);
    SemaphoreSet* set = SemaphoreSet::create(machine.root(), count).value().leak();
    const abi::Handle set_handle = machine.name(*set);
    std::vector<abi::Handle> members;
    for (unsigned i = 0; i < count; ++i) {
        const auto made = machine.make_semaphore(SemaphoreMode::counting);
        members.push_back(made.handle);
        ASSERT_TRUE(set->add(made.semaphore, i, 0).ok());
    }
    retain(*set);  // the table's
    ASSERT_TRUE(set->bind(*table).ok());
    Seen seen;
    std::atomic<bool> over{false};
    std::atomic<unsigned> busy{3};
    const auto ringer = [&] {
        for (unsigned i = 0; i < rounds; ++i) {
            EXPECT_TRUE(me().signal(members[i % count]).ok());
            // Now and then everybody sleeps.
            while (i % 64 == 0 && seen.events < i) sched_yield();
        }
        while (seen.events < 2 * rounds) sched_yield();
        over = --busy == 0;
    };
    const auto client = [&] {
        ask(object, rounds, 0);
        over = --busy == 0;
    };
    crowd.run({ringer, ringer, client, [&] { serve(seen, over, abi::deadline_never); },
               [&] { serve(seen, over, abi::deadline_never); }});
    EXPECT_EQ(seen.events, 2 * rounds);
    EXPECT_GE(seen.requests, rounds);
    for (const abi::Handle member : members) machine.close(member);
    machine.close(object);
    machine.close(set_handle);
    machine.close(table_handle);
}

TEST_F(TableThreads, ACloseNoticeComesOnceForEachObject) {
    constexpr unsigned rounds = 1'000;
    make_table(2);
    Seen seen;
    std::atomic<bool> over{false};
    const auto client = [&] {
        for (unsigned i = 0; i < rounds; ++i) {
            abi::Handle object;
            {
                const InKernel here;
                object = make_object(i);
            }
            ask(object, i % 3, i);
            const InKernel here;
            machine.close(object);
        }
        while (seen.closes < rounds) sched_yield();
        over = true;
    };
    crowd.run(
        {client, [&] { serve(seen, over, abi::deadline_never); }, [&] { serve(seen, over, 500); }});
    EXPECT_EQ(seen.closes, rounds);
    machine.close(table_handle);
}

// One thread serves, so it sees notices and requests in the order in which they came.
TEST_F(TableThreads, NoRequestComesAfterTheCloseNotice) {
    constexpr unsigned rounds = 20'000;
    make_table(2);
    std::atomic<abi::Handle> object{abi::no_handle};
    std::atomic<bool> over{false};
    std::vector<bool> closed(rounds);
    unsigned requests = 0;
    unsigned closes = 0;
    const auto maker = [&] {
        for (unsigned i = 0; i < rounds; ++i) {
            {
                const InKernel here;
                object = make_object(i);
            }
            for (unsigned j = 0; j < i % 64; ++j) static_cast<void>(object.load());
            const InKernel here;
            machine.close(object);
        }
        over = true;
    };
    const auto client = [&] {
        while (!over) static_cast<void>(me().ask(object, 1));
    };
    const auto server = [&] {
        uint64_t request = 0;
        while (closes < rounds) {
            const Status status = me().reply_and_wait(table_handle, request, 0);
            request = 0;
            if (!status.ok()) continue;
            const uint64_t cookie = me().message().rdi;
            EXPECT_FALSE(closed[cookie]);
            if ((status.detail() & abi::delivery_close) != 0) {
                closed[cookie] = true;
                ++closes;
            } else {
                ++requests;
                request = me().message().rsi;
            }
        }
    };
    crowd.run({maker, client, client, client, server});
    EXPECT_GT(requests, 0u);
    machine.close(table_handle);
}

TEST_F(TableThreads, WhoeverWaitsForATableThatEndsIsTold) {
    constexpr unsigned rounds = 200;
    std::atomic<abi::Handle> object{abi::no_handle};
    std::atomic<bool> over{false};
    std::atomic<unsigned> died{0};
    const auto client = [&] {
        while (!over) {
            const Status status = me().ask(object, 1);
            died += status.code() == Error::server_died;
            EXPECT_TRUE(status.ok() || status.code() == Error::server_died ||
                        status.code() == Error::bad_handle || status.code() == Error::cancelled ||
                        status.code() == Error::unknown_outcome)
                << static_cast<unsigned>(status.code());
        }
    };
    const auto server = [&] {
        for (unsigned i = 0; i < rounds; ++i) {
            {
                const InKernel here;
                make_table(2);
                object = make_object(i);
            }
            // Takes some requests, and dies with one or with some that wait.
            uint64_t request = 0;
            for (unsigned j = 0; j < i % 4; ++j) {
                const Status status = me().reply_and_wait(table_handle, request, 3, 500);
                request = status.ok() ? me().message().rsi : 0;
            }
            const InKernel here;
            machine.close(table_handle);
            machine.close(object);
        }
        over = true;
    };
    crowd.run({server, client, client, client});
    EXPECT_GT(died, 0u);
}

}  // namespace
}  // namespace annulus::kernel
