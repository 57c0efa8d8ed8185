// SPDX-License-Identifier: MIT
// How long a CPU has been idle in all, readable at any moment, also while it sleeps.
//
// One word, so that a reader never sees half a change: the time so far while the CPU works; while
// it is idle that time less the moment at which it became idle, and a mark in the highest bit.
#pragma once

#include <stdint.h>

#include <atomic>

namespace annulus::kernel {

class IdleClock {
public:
    // By its own CPU, in turns; `now` is the time since boot in nanoseconds, and never goes back.
    void begin(uint64_t now) { set((word() - now) | idle_mark); }
    void end(uint64_t now) { set((word() + now) & ~idle_mark); }

    // By anybody. Nanoseconds; `now` as above, from the reader's CPU.
    uint64_t total(uint64_t now) const {
        const uint64_t seen = word();
        return (seen & idle_mark) != 0 ? (seen + now) & ~idle_mark : seen;
    }

private:
    static constexpr uint64_t idle_mark = uint64_t{1} << 63;

    // Order: relaxed, the word carries no other data.
    uint64_t word() const { return word_.load(std::memory_order_relaxed); }
    void set(uint64_t word) { word_.store(word, std::memory_order_relaxed); }

    std::atomic<uint64_t> word_{0};
};

}  // namespace annulus::kernel
