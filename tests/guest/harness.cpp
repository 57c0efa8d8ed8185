// SPDX-License-Identifier: MIT
// Runs the cases of a test program and reports them.

#include "tests/guest/harness.h"

#include "abi/operations.h"

namespace annulus::test {

namespace {

// Constant-initialised: cases register from constructors in any order of files.
constinit const Case* first_case = nullptr;
constinit const Case** last_link = nullptr;

struct Totals {
    uint64_t passed = 0;
    uint64_t failed = 0;
};

void run(const Case& test_case, Environment& environment, Totals& totals) {
    Context context(environment);
    test_case.body()(context);
    if (context.failed()) {
        ++totals.failed;
        log("TEST FAIL {}.{} {} -- {}", suite, test_case.id(), test_case.sentence(),
            context.detail());
    } else {
        ++totals.passed;
        log("TEST PASS {}.{} {}", suite, test_case.id(), test_case.sentence());
    }
}

}  // namespace

Case::Case(const char* id, const char* sentence, Body body)
    : id_(id), sentence_(sentence), body_(body) {
    if (last_link == nullptr) last_link = &first_case;
    *last_link = this;
    last_link = &next_;
}

const Case* Case::first() { return first_case; }

BudgetReference Context::budget() const {
    return environment_.handle<Budget>(names::budget).value_or({});
}

ProcessReference Context::process() const {
    return environment_.handle<Process>(names::process).value_or({});
}

void report_count(std::string_view name, uint64_t number) {
    log("TEST COUNT {} {} {}", suite, name, number);
}

void report_budget(std::string_view row, std::string_view name, uint64_t instructions,
                   uint64_t entries, uint64_t cr3_writes) {
    log("BUDGET {} {} instructions={} entries={} cr3={}", row, name, instructions, entries,
        cr3_writes);
}

}  // namespace annulus::test

annulus::Result<void> annulus::program_main(Environment& environment) {
    test::Totals totals;
    const auto only = environment.argument("only");
    for (const test::Case* one = test::Case::first(); one != nullptr; one = one->next()) {
        if (!only.ok() || *only == one->id()) test::run(*one, environment, totals);
    }
    log("TEST END {} passed={} failed={}", test::suite, totals.passed, totals.failed);
    const auto power = environment.handle<Power>(names::power);
    const bool passed = totals.failed == 0 && totals.passed != 0;
    if (power.ok()) return power->shutdown_now(passed ? abi::power_off : abi::power_off_failed);
    return passed ? Result<void>() : Error::refused;
}
