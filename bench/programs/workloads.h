// SPDX-License-Identifier: MIT
// The work of the curves, the same on one CPU (bench_curves) and on two (bench_pairs).
#pragma once

#include "abi/stream.h"
#include "runtime/ring.h"
#include "tests/abi/budgets/measure.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

namespace annulus::test {

inline constexpr uint64_t message_max = 16 << 20;  // bytes of the longest message
inline constexpr uint64_t block = abi::table_block_max;
inline constexpr unsigned members_max = 10'000;
inline constexpr unsigned batch_max = 256;
inline constexpr unsigned clients_max = 256;

// The longest message; every page of it is there.
inline std::unique_ptr<std::byte[]> make_message() {
    std::unique_ptr<std::byte[]> bytes(new std::byte[message_max]);
    for (uint64_t at = 0; at < message_max; at += abi::page_size) bytes[at] = std::byte{1};
    return bytes;
}

// A server that takes each request at once, behind a table with the largest blocks.
struct Sink {
    Spawned peer;
    Served object;
};
inline Result<Sink> start_sink(Context& test, unsigned slots,
                               std::span<const std::string_view> arguments = {},
                               uint64_t affinity = 0) {
    const auto image = TRY(Peer::image(test));
    const auto blocks = TRY(test.budget().create_memory(slots * block / abi::page_size, 0));
    const auto table = TRY(test.budget().create_table(slots, block, blocks, 0));
    Served object = TRY(table.create_object(7, abi::all_rights, 0));
    const Grant grants[] = {{"table", table}};
    return Sink{TRY(Peer::start(test, image, grants, arguments, affinity)), std::move(object)};
}

// In as many calls as it takes.
inline void send_by_calls(const Served& object, std::span<const std::byte> bytes) {
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

// In as many entries as it takes, all submitted at once. How many failed. `awake`: looks for the
// completions instead of waiting for them in the kernel.
inline uint64_t send_by_ring(ClientRing& ring, const Served& object, uint64_t size,
                             bool awake = false) {
    uint32_t entries = 0;
    for (uint64_t at = 0; at < size; at += block) {
        abi::SubmissionEntry* entry = ring.prepare();
        if (entry == nullptr) return 1;
        *entry = ring_write(object, 0, Registered::at(at, std::min(size - at, block)), at);
        ++entries;
    }
    if (!ring.submit(awake ? 0 : entries).ok()) return 1;
    uint64_t failed = 0;
    while (entries > 0) {
        abi::CompletionEntry done;
        if (ring.next(done)) {
            failed += done.ok() ? 0 : 1;
            --entries;
        } else if (!awake) {
            break;
        }
    }
    return failed + entries;
}

// A set with more and more members, the first of which is given.
class GrowingSet {
public:
    static Result<GrowingSet> create(Context& test, SemaphoreReference first) {
        GrowingSet made(TRY(test.budget().create_set(members_max)));
        TRY(made.set_.create_member(first, 1, 0));
        return made;
    }
    Result<void> grow(Context& test, unsigned members) {
        for (; count_ < members; ++count_) {
            members_[count_] =
                TRY(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
            TRY(set_.create_member(members_[count_], 1 + count_, 0));
        }
        return {};
    }
    const Set& set() const { return set_; }

private:
    explicit GrowingSet(Set set) : set_(std::move(set)) {}

    Set set_;
    std::unique_ptr<Semaphore[]> members_{new Semaphore[members_max]};
    unsigned count_ = 1;
};

// As many semaphores as one call can wait for.
struct WaitedFor {
    std::array<Semaphore, abi::wait_any_max> semaphores;
    std::array<abi::WaitEntry, abi::wait_any_max> entries = {};

    Result<void> make(Context& test) {
        for (size_t i = 0; i < entries.size(); ++i) {
            semaphores[i] = TRY(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
            entries[i].semaphore = semaphores[i].value();
        }
        return {};
    }
};

// Nops that check a handle, submitted at once. How many failed.
[[gnu::always_inline]] inline uint64_t nop_batch(ClientRing& ring, abi::Handle handle,
                                                 uint32_t batch) {
    for (uint32_t i = 0; i < batch; ++i) ring.queues().prepare_nop(i, handle);
    uint64_t failed = ring.submit().ok() ? 0 : 1;
    abi::CompletionEntry done;
    while (ring.next(done)) failed += done.ok() ? 0 : 1;
    return failed;
}

// Processes that call objects of one table for ever; client i has the cookie 1 + i. Each gets as
// little as it needs, since there are many.
class Clients {
public:
    Result<void> grow(Context& test, const ProgramImage& image, const Table& table, size_t count) {
        const unsigned priority = TRY(test.budget().get_ledger()).priority_ceiling;
        while (processes_.size() < count) {
            Served& object = objects_[processes_.size()];
            object = TRY(table.create_object(1 + processes_.size(), abi::all_rights, 0));
            const Grant grants[] = {{"calls", object}};
            processes_.push_back(TRY(spawn(image, {.budget = test.budget(),
                                                   .grants = grants,
                                                   .handle_slots = 64,
                                                   .stack_pages = 4,
                                                   .priority = priority})));
        }
        return {};
    }
    void stop(Context& test) const {
        for (const Spawned& process : processes_) Peer::stop(test, process);
    }

private:
    std::unique_ptr<Served[]> objects_{new Served[clients_max]};
    std::vector<Spawned> processes_;
};

// Takes so many requests and answers each.
class Answering {
public:
    explicit Answering(const Table& table) : table_(table) {}

    uint64_t cycles_of(uint64_t count) {
        const uint64_t begin = cycles();
        for (uint64_t i = 0; i < count; ++i) answer_one();
        return cycles() - begin;
    }
    // The client's cookie.
    uint64_t answer_one() {
        const auto next = system::reply_and_wait(table_.value(), request_, {}, abi::deadline_never);
        request_ = next.request;
        return next.cookie;
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
    const Table& table_;
    uint64_t request_ = 0;
};

}  // namespace annulus::test
