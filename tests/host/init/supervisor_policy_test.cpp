// SPDX-License-Identifier: MIT
// Tests of the supervisor's decisions: start and stop order, restart rates.
#include "services/init/supervisor_policy.h"
#include "tests/host/init/manifest_text.h"

#include <random>

namespace annulus::init {
namespace {

using namespace test;

std::string names_of(const Manifest& manifest, const ProgramOrder& order) {
    std::string names;
    for (const uint16_t program : order.programs()) {
        names += std::string(manifest.programs[program].name) + " ";
    }
    return names;
}

void expect_order(const std::string& text, const std::string& start, const std::string& stop) {
    const Outcome outcome = parse(text);
    ASSERT_TRUE(outcome.accepted) << outcome.report;
    EXPECT_EQ(names_of(*outcome.manifest, start_order(*outcome.manifest)), start);
    EXPECT_EQ(names_of(*outcome.manifest, stop_order(*outcome.manifest)), stop);
}

TEST(start_order, follows_the_manifest_without_gives) {
    expect_order("", "", "");
    expect_order(program("a") + program("b") + program("c"), "a b c ", "c b a ");
}

TEST(start_order, providers_come_first) {
    expect_order(program("a", "give x x") + program("b", "provide x\ngive y y\ngive l log") +
                     program("c", "provide y") + program("d"),
                 "c d b a ", "a b d c ");
}

TEST(start_order, holds_for_random_manifests) {
    std::mt19937 random(1);
    for (unsigned round = 0; round < 50; round++) {
        std::string text;
        for (unsigned index = 0; index < manifest_programs_max; index++) {
            // Some hidden order without cycles: program n is given things by higher numbers.
            std::string lines = "provide x" + std::to_string(index);
            for (unsigned give = 0; give < random() % 4 && index + 1 < manifest_programs_max;
                 give++) {
                const auto other = index + 1 + random() % (manifest_programs_max - index - 1);
                lines += "\ngive g" + std::to_string(give) + " x" + std::to_string(other);
            }
            text += program("p" + std::to_string(index), lines);
        }
        const Outcome outcome = parse(text);
        ASSERT_TRUE(outcome.accepted) << outcome.report;
        const Manifest& manifest = *outcome.manifest;
        std::array<bool, manifest_programs_max> started{};
        const ProgramOrder order = start_order(manifest);
        ASSERT_EQ(order.programs().size(), manifest.program_count);
        for (const uint16_t index : order.programs()) {
            for (const Give& give : manifest.gives_of(manifest.programs[index])) {
                EXPECT_TRUE(started[manifest.provider_of(give)]);
            }
            EXPECT_FALSE(started[index]);
            started[index] = true;
        }
    }
}

TEST(start_order, leaves_cycles_out) {
    auto manifest = std::make_unique<Manifest>();
    manifest->program_count = 2;
    manifest->provide_count = manifest->give_count = 1;
    manifest->provides[0].program = 1;
    manifest->gives[0].kind = SourceKind::provided;
    manifest->programs[1].gives = {0, 1};
    EXPECT_EQ(start_order(*manifest).programs().size(), 1u);
}

constexpr ExitPolicy restart_twice{ExitAction::restart, 2, 100, ExitAction::shut_down, {}};

TEST(restart_history, allows_so_many_in_a_window) {
    RestartHistory history;
    EXPECT_TRUE(history.may_restart(restart_twice, 0));
    EXPECT_TRUE(history.may_restart(restart_twice, 50));
    EXPECT_FALSE(history.may_restart(restart_twice, 99));
    EXPECT_TRUE(history.may_restart(restart_twice, 100));
    EXPECT_FALSE(history.may_restart(restart_twice, 149));
    EXPECT_TRUE(history.may_restart(restart_twice, 150));
}

TEST(restart_history, refusals_are_not_recorded) {
    RestartHistory history;
    EXPECT_TRUE(history.may_restart(restart_twice, 0));
    EXPECT_TRUE(history.may_restart(restart_twice, 0));
    for (uint64_t now = 0; now < 100; now++) EXPECT_FALSE(history.may_restart(restart_twice, now));
    EXPECT_TRUE(history.may_restart(restart_twice, 100));
}

TEST(restart_history, a_clock_that_goes_back_allows_nothing) {
    RestartHistory history;
    EXPECT_TRUE(history.may_restart(restart_twice, 1000));
    EXPECT_TRUE(history.may_restart(restart_twice, 1000));
    EXPECT_FALSE(history.may_restart(restart_twice, 500));
}

TEST(restart_history, largest_values) {
    const ExitPolicy slow{
        ExitAction::restart, manifest_restarts_max, ~uint64_t{0}, ExitAction::nothing, {}};
    RestartHistory history;
    for (unsigned count = 0; count < manifest_restarts_max; count++) {
        EXPECT_TRUE(history.may_restart(slow, count));
    }
    EXPECT_FALSE(history.may_restart(slow, ~uint64_t{0} - 1));
    EXPECT_TRUE(history.may_restart(slow, ~uint64_t{0}));
    const ExitPolicy never{ExitAction::restart, 0, 1, ExitAction::nothing, {}};
    EXPECT_FALSE(RestartHistory().may_restart(never, 5));
}

// Against the plain definition: count the restarts that lie less than a window back.
TEST(restart_history, agrees_with_counting) {
    std::mt19937 random(2);
    for (uint32_t restarts = 1; restarts <= manifest_restarts_max; restarts++) {
        const ExitPolicy policy{ExitAction::restart, restarts, 1000, ExitAction::nothing, {}};
        RestartHistory history;
        std::vector<uint64_t> made;
        uint64_t now = 0;
        for (unsigned step = 0; step < 1000; step++) {
            now += random() % (2000 / restarts);
            unsigned recent = 0;
            for (const uint64_t time : made) recent += now - time < 1000;
            EXPECT_EQ(history.may_restart(policy, now), recent < restarts);
            if (recent < restarts) made.push_back(now);
        }
    }
}

TEST(decide_end, follows_the_policies) {
    Program program;
    program.on_exit = {ExitAction::nothing, 0, 0, ExitAction::nothing, {}};
    program.on_fault = {ExitAction::restart, 1, 100, ExitAction::shut_down, {}};
    RestartHistory history;
    EXPECT_EQ(decide_end(program, abi::EndReason::exited, history, 0), ExitAction::nothing);
    EXPECT_EQ(decide_end(program, abi::EndReason::faulted, history, 0), ExitAction::restart);
    EXPECT_EQ(decide_end(program, abi::EndReason::killed, history, 99), ExitAction::shut_down);
    EXPECT_EQ(decide_end(program, abi::EndReason::exited, history, 99), ExitAction::nothing);
    EXPECT_EQ(decide_end(program, abi::EndReason::budget_destroyed, history, 100),
              ExitAction::restart);
    program.on_fault.action = ExitAction::shut_down;
    EXPECT_EQ(decide_end(program, abi::EndReason::faulted, history, 900), ExitAction::shut_down);
}

}  // namespace
}  // namespace annulus::init
