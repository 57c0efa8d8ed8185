// SPDX-License-Identifier: MIT
// Channels to a second process, and what the tests of structures share.
#pragma once

#include "runtime/channel.h"
#include "runtime/clock.h"
#include "tests/guest/child.h"
#include "tests/guest/harness.h"

namespace annulus::test {

// Where a child finds what it was given.
enum ChildWord : unsigned { own_end, own_process, length, rounds };

// Long enough for a busy machine; only a lost wake-up takes longer.
inline Deadline patience() { return Deadline::after(seconds(20)); }

// The end and the process that a child got.
struct ChildEnd {
    Channel end;
    ChannelPlace place;

    explicit ChildEnd(Child::Word* words)
        : end(words[own_end].load()),
          place{BudgetReference(), ProcessReference(words[own_process].load())} {}
};

// A child that has the other end and runs `body`.
inline Result<Child> start_peer(Context& test, Channel end, void (*body)(Child::Word* words)) {
    auto child = TRY(Child::create(test.budget(), test.process(), test.budget()));
    child.words()[own_process] = TRY(child.lend(child.process()));
    child.words()[own_end] = TRY(child.give(std::move(end)));
    static_cast<void>(TRY(child.start(body)));
    return child;
}

// Both ends in this process.
template <typename Kind>
struct Both {
    Kind first;
    Kind second;
};
template <typename Kind, typename Shape>
Result<Both<Kind>> make_both(Shape shape) {
    auto made = TRY(Kind::create(shape));
    auto second = TRY(Kind::attach(made.theirs));
    return Both<Kind>{std::move(made.mine), std::move(second)};
}

inline std::byte pattern(uint64_t position) { return static_cast<std::byte>(position * 131 >> 3); }

}  // namespace annulus::test
