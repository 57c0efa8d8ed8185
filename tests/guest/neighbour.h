// SPDX-License-Identifier: MIT
// A process beside an attack, which must not notice it.
#pragma once

#include "tests/guest/child.h"
#include "tests/guest/harness.h"

namespace annulus::test {

// A process with a budget of its own that does a little of everything each millisecond, and checks
// that its memory holds what it wrote there the millisecond before.
class Neighbour {
public:
    static Result<Neighbour> create(const Context& test, unsigned priority = 30);
    // Notes a failure unless it does `more` rounds within seconds, and did all of them well.
    void expect_progress(Context& test, uint64_t more = 5) const;
    uint64_t rounds() const;  // so far

private:
    Neighbour(Budget budget, Child child, Timer timer)
        : budget_(std::move(budget)), child_(std::move(child)), timer_(std::move(timer)) {}
    Budget budget_;
    Child child_;
    Timer timer_;
};

}  // namespace annulus::test
