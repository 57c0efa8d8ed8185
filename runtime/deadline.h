// SPDX-License-Identifier: MIT
// Points in time and spans of time. Monotonic, in nanoseconds since the machine started.
#pragma once

#include "abi/limits.h"

#include <stdint.h>

#include <compare>

namespace annulus {

// A span of time.
struct Duration {
    uint64_t nanoseconds = 0;
    constexpr auto operator<=>(const Duration&) const = default;
};
constexpr Duration nanoseconds(uint64_t count) { return {count}; }
constexpr Duration microseconds(uint64_t count) { return {count * 1'000}; }
constexpr Duration milliseconds(uint64_t count) { return {count * 1'000'000}; }
constexpr Duration seconds(uint64_t count) { return {count * 1'000'000'000}; }

// When a wait gives up. What happens at the deadline itself still counts as in time.
struct Deadline {
    uint64_t at = abi::deadline_never;  // nanoseconds since the start of the machine

    static constexpr Deadline never() { return {abi::deadline_never}; }
    static constexpr Deadline poll() { return {abi::deadline_poll}; }

    // `span` from now, or never if that lies beyond the end of time. Needs the handle `clock`.
    static Deadline after(Duration span);

    constexpr auto operator<=>(const Deadline&) const = default;
};

// The pauses between attempts to reach something that is expected back: 5 ms, then each twice as
// long as the one before, 500 ms at most.
class GrowingPause {
public:
    constexpr Duration next() {
        const Duration pause = next_;
        next_ = {pause.nanoseconds * 2 < longest.nanoseconds ? pause.nanoseconds * 2
                                                             : longest.nanoseconds};
        return pause;
    }

private:
    static constexpr Duration longest = milliseconds(500);
    Duration next_ = milliseconds(5);
};

// `start` + `span`, which stops short of never.
constexpr Deadline later(uint64_t start, Duration span) {
    const uint64_t room = abi::deadline_never - start;
    return span.nanoseconds >= room ? Deadline::never() : Deadline{start + span.nanoseconds};
}

}  // namespace annulus
