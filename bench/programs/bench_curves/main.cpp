// SPDX-License-Identifier: MIT
// Curves: what an operation costs as its size, or the number of those concerned, grows. The same
// work as bench/linux/curves.cpp does on Linux.
#include "abi/stream.h"
#include "bench/programs/bench_curves/report.h"
#include "runtime/channel.h"
#include "runtime/ring.h"

#include <memory>
#include <vector>

const char* const annulus::test::suite = "curves";

namespace annulus::test::cases {
namespace {

constexpr uint64_t block = abi::table_block_max;
constexpr unsigned members_max = 10'000;
constexpr unsigned batch_max = 256;
constexpr unsigned clients_max = 256;

// The longest message; every page of it is there.
std::unique_ptr<std::byte[]> make_message() {
    std::unique_ptr<std::byte[]> bytes(new std::byte[message_max]);
    for (uint64_t at = 0; at < message_max; at += abi::page_size) bytes[at] = std::byte{1};
    return bytes;
}

// A server that takes each request at once, behind a table with the largest blocks.
struct Sink {
    Spawned peer;
    Served object;
};
Result<Sink> start_sink(Context& test, unsigned slots) {
    const auto image = TRY(Peer::image(test));
    const auto blocks = TRY(test.budget().create_memory(slots * block / abi::page_size, 0));
    const auto table = TRY(test.budget().create_table(slots, block, blocks, 0));
    Served object = TRY(table.create_object(7, abi::all_rights, 0));
    const Grant grants[] = {{"table", table}};
    return Sink{TRY(Peer::start(test, image, grants)), std::move(object)};
}

// In as many calls as it takes.
void send_by_calls(const Served& object, std::span<const std::byte> bytes) {
    constexpr uint64_t write = abi::operation_word(abi::Verb::write, abi::stream_write);
    while (!bytes.empty()) {
        const auto part = bytes.first(std::min<size_t>(bytes.size(), block));
        static_cast<void>(system::call_buffer(object.value(), write, system::buffer_in(part)));
        bytes = bytes.subspan(part.size());
    }
}

// Memory that is registered with a ring, in pieces: as much as the longest message.
struct Registered {
    static constexpr uint64_t piece = abi::ring_memory_pages_max * abi::page_size;
    static_assert(message_max <= abi::ring_memories_max * piece);

    static Result<void> with(Context& test, const ClientRing& ring) {
        const auto memory = TRY(test.budget().create_memory(message_max / abi::page_size, 0));
        for (uint64_t at = 0; at < message_max; at += piece) {
            TRY(ring.handle().set_register(at / piece, memory, at, abi::ring_memory_pages_max));
        }
        return {};
    }
    static RingBytes at(uint64_t offset, uint64_t size) {
        return {static_cast<uint16_t>(offset / piece), static_cast<uint32_t>(offset % piece),
                static_cast<uint32_t>(size)};
    }
};

// In as many entries as it takes, all submitted at once. How many failed.
uint64_t send_by_ring(ClientRing& ring, const Served& object, uint64_t size) {
    uint32_t entries = 0;
    for (uint64_t at = 0; at < size; at += block) {
        abi::SubmissionEntry* entry = ring.prepare();
        if (entry == nullptr) return 1;
        *entry = ring_write(object, 0, Registered::at(at, std::min(size - at, block)), at);
        ++entries;
    }
    if (!ring.submit(entries).ok()) return 1;
    uint64_t failed = 0;
    for (abi::CompletionEntry done; entries > 0 && ring.next(done); --entries) {
        failed += done.ok() ? 0 : 1;
    }
    return failed + entries;
}

// Takes so many requests and answers each. Client i has the cookie 1 + i.
class Answering {
public:
    explicit Answering(const Table& table) : table_(table) {}

    uint64_t cycles_of(uint64_t count) {
        const uint64_t begin = cycles();
        for (uint64_t i = 0; i < count; ++i) answer_one();
        return cycles() - begin;
    }
    // Until each of the first clients had an answer; false: some had none for too long.
    bool answer_each(unsigned clients) {
        std::array<bool, clients_max> seen = {};
        unsigned missing = clients;
        for (uint64_t left = uint64_t{clients} * 100'000; missing > 0 && left > 0; --left) {
            bool& one = seen[answer_one() - 1];
            missing -= one ? 0 : 1;
            one = true;
        }
        return missing == 0;
    }

private:
    uint64_t answer_one() {
        const auto next = system::reply_and_wait(table_.value(), request_, {}, abi::deadline_never);
        request_ = next.request;
        return next.cookie;
    }

    const Table& table_;
    uint64_t request_ = 0;
};

}  // namespace
}  // namespace annulus::test::cases

TEST(by_calls, "messages of all sizes by synchronous calls") {
    const auto message = make_message();
    auto sink = MUST(start_sink(test, 4));
    for (uint64_t size = 1; size <= message_max; size *= 4) {
        point(
            test, "message", "call", size,
            [&] { send_by_calls(sink.object, {message.get(), size}); }, rounds_for(size));
    }
    Peer::stop(test, sink.peer);
}

TEST(by_ring, "messages of all sizes by a ring, from registered memory") {
    constexpr uint32_t entries = message_max / block;
    auto sink = MUST(start_sink(test, entries));
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), entries));
    EXPECT_OK(Registered::with(test, ring));
    uint64_t failed = 0;
    for (uint64_t size = 1; size <= message_max; size *= 4) {
        point(
            test, "message", "ring", size, [&] { failed += send_by_ring(ring, sink.object, size); },
            rounds_for(size));
    }
    EXPECT_EQ(failed, 0u);
    Peer::stop(test, sink.peer);
}

TEST(by_channel, "messages of all sizes through a channel, copied in and out") {
    const auto message = make_message();
    const auto image = MUST(Peer::image(test));
    for (uint64_t size = 1; size <= message_max; size *= 4) {
        auto made = MUST(ByteChannel::create(16));
        char digits[24];
        const std::string_view arguments[] = {format(digits, "{}", size)};
        const Grant grants[] = {{"mirror", made.theirs}, {"budget", test.budget()}};
        const auto peer = MUST(Peer::start(test, image, grants, arguments));
        const std::span<const std::byte> bytes(message.get(), size);
        const auto round = [&] {
            std::byte answer;
            static_cast<void>(made.mine.write(bytes));
            static_cast<void>(made.mine.read_all({&answer, 1}));
        };
        point(test, "message", "channel", size, round, rounds_for(size));
        Peer::stop(test, peer);
    }
}

TEST(sets, "waiting on one of many") {
    const auto image = MUST(Peer::image(test));
    const auto there = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto back = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto set = MUST(test.budget().create_set(members_max));
    EXPECT_OK(set.create_member(there, 1, 0));
    const Grant grants[] = {{"set", set}, {"yours", back}};
    const auto child = MUST(Peer::start(test, image, grants));
    const auto members = std::make_unique<Semaphore[]>(members_max);
    unsigned count = 1;
    for (unsigned wanted = 1; wanted <= members_max; wanted *= 10) {
        for (; count < wanted; ++count) {
            members[count] =
                MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
            EXPECT_OK(set.create_member(members[count], 1 + count, 0));
        }
        const auto round = [&] {
            system::signal_and_wait(there.value(), back.value(), 0, abi::deadline_never);
        };
        point(test, "set", "semaphore set", wanted, round, 200);
    }
    Peer::stop(test, child);
}

TEST(batches, "entries of a ring that check a handle, so many at once") {
    auto ring = MUST(ClientRing::create(test.budget(), test.process(), batch_max));
    const auto semaphore = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    uint64_t failed = 0;
    for (uint32_t batch = 1; batch <= batch_max; batch *= 2) {
        const auto round = [&] {
            for (uint32_t i = 0; i < batch; ++i) ring.queues().prepare_nop(i, semaphore.value());
            failed += ring.submit().ok() ? 0 : 1;
            abi::CompletionEntry done;
            while (ring.next(done)) failed += done.ok() ? 0 : 1;
        };
        point(test, "batch", "ring", batch, round, 200, batch);
    }
    EXPECT_EQ(failed, 0u);
}

TEST(clients, "one server answers the calls of many processes, and all have their turns") {
    const auto image = MUST(Peer::image(test));
    const auto table = MUST(test.budget().create_table(2 * clients_max, 0, {}, 0));
    const auto objects = std::make_unique<Served[]>(clients_max);
    const auto ledger = MUST(test.budget().get_ledger());
    std::vector<Spawned> clients;
    Answering server(table);
    for (unsigned wanted = 1; wanted <= clients_max; wanted *= 2) {
        while (clients.size() < wanted) {
            Served& object = objects[clients.size()];
            object = MUST(table.create_object(1 + clients.size(), abi::all_rights, 0));
            const Grant grants[] = {{"calls", object}};
            // As little for each as it needs, since there are many.
            clients.push_back(MUST(spawn(image, {.budget = test.budget(),
                                                 .grants = grants,
                                                 .handle_slots = 64,
                                                 .stack_pages = 4,
                                                 .priority = ledger.priority_ceiling})));
        }
        if (wanted <= 16) EXPECT(server.answer_each(wanted));
        settle(test);
        server.cycles_of(wanted);
        const uint64_t count = std::max<uint64_t>(200, uint64_t{20} * wanted);
        log("POINT clients | call | {} | {}", wanted, share_of(server.cycles_of(count), count));
    }
    for (const Spawned& client : clients) Peer::stop(test, client);
}
