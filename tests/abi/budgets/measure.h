// SPDX-License-Identifier: MIT
// Measuring an operation, and the program that is on its other side.
#pragma once

#include "base/archive.h"
#include "runtime/clock.h"
#include "runtime/spawn.h"
#include "runtime/system_call.h"
#include "tests/guest/harness.h"

#include <algorithm>

namespace annulus::test {

inline constexpr uint64_t warm_up = 100;
inline constexpr uint64_t rounds = 1000;
inline constexpr uint64_t settle_ns = 20'000'000;

inline uint64_t cycles() {
    uint32_t low;
    uint32_t high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return uint64_t{high} << 32 | low;
}

// What the kernel counted so far; zeros unless it is the counting variant.
inline abi::MachineLedger machine(Context& test) {
    const auto budget = test.environment().handle<Budget>("machine");
    const auto root = budget.ok() ? *budget : test.budget();
    auto ledger = root.get_machine();
    return ledger.ok() ? *ledger : abi::MachineLedger{};
}

// Sleeps until everything else has had its turn.
inline void settle(Context& test) {
    const auto never = MUST(test.budget().create_semaphore(abi::semaphore_counting, 0, {}, 0));
    const auto status = system::wait(never.value(), now() + settle_ns);
    EXPECT_ERROR(status, Error::timed_out);
}

// Cycles of `rounds` rounds. Inlined, so that what is measured is not behind a reference.
template <typename Operation>
[[gnu::always_inline]] inline uint64_t run(Operation operation) {
    const uint64_t begin = cycles();
    for (uint64_t i = 0; i < rounds; ++i) {
        operation();
        asm volatile("");  // the empty round is a round, too
    }
    return cycles() - begin;
}

// What one of `parts` costs, to the nearest: reading the counters is a small part of it.
constexpr uint64_t share_of(uint64_t whole, uint64_t parts) { return (whole + parts / 2) / parts; }

inline void report_shares(std::string_view row, std::string_view name, uint64_t instructions,
                          const abi::MachineLedger& before, const abi::MachineLedger& after,
                          uint64_t parts) {
    report_budget(row, name, share_of(instructions, parts),
                  share_of(after.kernel_entries - before.kernel_entries, parts),
                  share_of(after.page_table_loads - before.page_table_loads, parts));
}

// Reports what a `per`-th of the operation costs.
template <typename Operation>
[[gnu::always_inline]] inline void measure(Context& test, std::string_view row,
                                           std::string_view name, Operation operation,
                                           uint64_t per = 1) {
    settle(test);
    for (uint64_t i = 0; i < warm_up; ++i) operation();
    const abi::MachineLedger before = machine(test);
    const uint64_t spent = run(operation);
    const abi::MachineLedger after = machine(test);
    const uint64_t loop = run([] {});
    // Where cycles are not instructions, a round of nothing may take longer than it should.
    report_shares(row, name, spent - std::min(spent, loop), before, after, rounds * per);
}

// A page is mapped, written to and unmapped. How often that failed: 0 or 1.
[[gnu::always_inline]] inline uint64_t map_and_touch(ProcessReference process,
                                                     MemoryReference memory) {
    const auto at = process.map(memory, 0, abi::page_size, 0, abi::map_read | abi::map_write);
    if (!at.ok()) return 1;
    // Safety: just mapped there, and nobody else uses it.
    *reinterpret_cast<volatile char*>(*at) = 1;
    return process.map_unmap(*at, abi::page_size).ok() ? 0 : 1;
}

// The peer's program, from the boot archive.
class Peer {
public:
    static Result<ProgramImage> image(Context& test,
                                      std::string_view program = "programs/bench_peer") {
        const auto memory = TRY(test.environment().handle<Memory>("archive"));
        const uint64_t size = TRY(memory.get_size()).pages * abi::page_size;
        const uint64_t address = TRY(test.process().map(memory, 0, size, 0, abi::map_read));
        // Safety: the archive was just mapped there, and stays.
        const std::span bytes(reinterpret_cast<const std::byte*>(address), size);
        ArchiveFault fault;
        const auto archive = Archive::open(bytes, fault);
        if (!archive.has_value()) return Error::refused;
        const auto file = archive->find(program);
        if (!file.has_value()) return Error::not_found;
        const ImageSource source = {.bytes = *file,
                                    .memory = memory,
                                    .offset = static_cast<uint64_t>(file->data() - bytes.data())};
        return ProgramImage::prepare(test.budget(), source);
    }

    // Runs it at this thread's priority. `affinity`: a mask of CPUs, 0: any.
    static Result<Spawned> start(Context& test, const ProgramImage& image,
                                 std::span<const Grant> grants,
                                 std::span<const std::string_view> arguments = {},
                                 uint64_t affinity = 0) {
        const auto ledger = TRY(test.budget().get_ledger());
        return spawn(image, {.budget = test.budget(),
                             .grants = grants,
                             .arguments = arguments,
                             .priority = ledger.priority_ceiling,
                             .affinity = affinity});
    }

    // Waits for its end, so that the next test has the machine for itself.
    static void stop(Context& test, const Spawned& peer) {
        EXPECT_OK(peer.process.remove_kill(0));
        EXPECT_OK(system::wait(peer.ended.value(), abi::deadline_never));
    }
};

}  // namespace annulus::test
