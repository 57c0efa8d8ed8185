// SPDX-License-Identifier: MIT
// A ring with one page range of registered memory, and what its operations are asked for.
#pragma once

#include "runtime/clock.h"
#include "runtime/ring.h"
#include "runtime/semaphore.h"
#include "tests/guest/harness.h"
#include "tests/guest/threads.h"

#include <string.h>

#include <optional>

namespace annulus::test {

// Memory registered at index 0 and mapped here.
class RingBench {
public:
    static constexpr uint64_t pages = 20;  // more than the largest block

    static Result<RingBench> create(const Context& test, uint32_t entries,
                                    uint32_t allowed = abi::ring_allow_all) {
        RingBench bench(test,
                        TRY(ClientRing::create(test.budget(), test.process(), entries, allowed)));
        bench.memory = TRY(test.budget().create_memory(pages, 0));
        bench.begin_ = TRY(test.process().map(bench.memory, 0, pages * abi::page_size, 0,
                                              abi::map_read | abi::map_write));
        TRY(bench.ring.handle().set_register(0, bench.memory, 0, pages));
        return bench;
    }
    RingBench(RingBench&& other)
        : ring(std::move(other.ring)),
          memory(std::move(other.memory)),
          process_(other.process_),
          begin_(std::exchange(other.begin_, 0)) {}
    RingBench& operator=(RingBench&&) = delete;
    ~RingBench() {
        if (begin_ != 0) static_cast<void>(process_.map_unmap(begin_, pages * abi::page_size));
    }

    // Safety: the registered memory is mapped there.
    unsigned char* bytes() const { return reinterpret_cast<unsigned char*>(begin_); }
    static RingBytes part(uint32_t offset, uint32_t size) { return {0, offset, size}; }

    // Submits one entry; its completion, or nothing if it has none yet.
    Result<std::optional<abi::CompletionEntry>> begin(const abi::SubmissionEntry& entry) {
        abi::SubmissionEntry* place = ring.prepare();
        if (place == nullptr) return Error::no_room;
        *place = entry;
        TRY(ring.submit());
        abi::CompletionEntry done;
        if (!ring.next(done)) return std::optional<abi::CompletionEntry>();
        return std::optional(done);
    }
    // The same, waiting for the next completion.
    Result<abi::CompletionEntry> run(const abi::SubmissionEntry& entry) {
        abi::SubmissionEntry* place = ring.prepare();
        if (place == nullptr) return Error::no_room;
        *place = entry;
        TRY(ring.submit(1));
        return ring.take();
    }
    // How it ends.
    Error outcome(const abi::SubmissionEntry& entry) {
        const auto done = run(entry);
        return done.ok() ? done->code() : done.error();
    }
    uint64_t in_flight() const {
        const auto state = ring.handle().get_state();
        return state.ok() ? state->in_flight : ~uint64_t{0};
    }

    ClientRing ring;
    Memory memory;

private:
    RingBench(const Context& test, ClientRing made)
        : ring(std::move(made)), process_(test.process()) {}
    ProcessReference process_;
    uint64_t begin_ = 0;
};

}  // namespace annulus::test
