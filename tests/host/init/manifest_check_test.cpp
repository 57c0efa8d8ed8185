// SPDX-License-Identifier: MIT
// Tests of the manifest's checks over all programs: names, cycles, budgets; and of every limit.
#include "services/init/manifest.h"
#include "tests/host/init/manifest_text.h"

namespace annulus::init {
namespace {

using namespace test;
using enum ManifestFault;

std::string repeat(size_t count, const std::string& before, const std::string& after = "\n") {
    std::string text;
    for (size_t index = 0; index < count; index++) text += before + std::to_string(index) + after;
    return text;
}

std::string budget_of(const std::string& pages, const std::string& handles = "8") {
    return "budget { pages " + pages + " kernel 16K handles " + handles +
           " threads 1 weight 100 priority 8 }";
}

std::string program_with(const std::string& name, const std::string& budget,
                         const std::string& lines = "") {
    return "program " + name + " {\nfile 'f'\n" + budget + "\non exit nothing\n" + lines + "\n}\n";
}

TEST(manifest_check, names_are_unique) {
    expect_bad(program("p") + program("p"), duplicate,
               "7:9: a second program \"p\"; the first is in line 1");
    expect_bad(program("a", "provide x") + program("b", "provide x"), duplicate,
               "11:9: \"x\" is also provided by program \"a\", in line 5");
    expect_bad(program("a", "provide x\nprovide x"), duplicate,
               "6:9: \"x\" is also provided by program \"a\", in line 5");
    // Programs, provided names and given names do not get into each other's way.
    expect_good(program("x", "provide x") + program("b", "give x x"));
}

TEST(manifest_check, own_names_of_init_are_not_provided) {
    for (const std::string name :
         {"budget", "archive", "power", "log", "system", "clock", "hardware", "kernel.console",
          "hardware.usb", "root.x", "firmware"}) {
        expect_bad_line("provide " + name, bad_value,
                        "9: \"" + name + "\" names an object of init's own; choose another name");
    }
}

TEST(manifest_check, cycles_are_named) {
    expect_bad(program("a", "provide x\ngive y x"), cycle,
               "6:8: programs wait for one another: \"a\" needs x of \"a\"");
    expect_bad(
        program("a", "provide x\ngive y y") + program("b", "provide y\ngive x x"), cycle,
        "6:8: programs wait for one another: \"a\" needs y of \"b\", \"b\" needs x of \"a\"");
    // The walk begins outside the cycle, which is named without the way to it.
    expect_bad(program("z", "give o archive\ngive y y") +
                   program("a", "provide x\ngive l log\ngive y y") +
                   program("b", "provide y\ngive x x"),
               cycle,
               "21:8: programs wait for one another: \"b\" needs x of \"a\", \"a\" needs y of "
               "\"b\"");
}

TEST(manifest_check, long_cycles_are_cut_off) {
    std::string text;
    for (size_t index = 0; index < manifest_programs_max; index++) {
        const std::string next = std::to_string((index + 1) % manifest_programs_max);
        text += program("program" + std::to_string(index),
                        "provide name" + std::to_string(index) + "\ngive next name" + next);
    }
    const Outcome outcome = parse(text);
    EXPECT_FALSE(outcome.accepted);
    EXPECT_EQ(outcome.error.fault, cycle);
    EXPECT_EQ(outcome.error.message().size(), ManifestError::message_max);
}

TEST(manifest_check, diamonds_are_no_cycles) {
    expect_good(program("d", "give x x\ngive y y") + program("b", "provide x\ngive z z") +
                program("c", "provide y\ngive z z") + program("a", "provide z"));
}

TEST(manifest_check, minimum_of_a_program) {
    expect_bad(program_with("p", budget_of("0")), over_budget,
               "3:1: program \"p\" needs at least pages 1, its budget has pages 0");
    expect_bad(
        "program p {\nfile 'f'\non exit nothing\n"
        "budget { pages 1 kernel 0 handles 0 threads 0 weight 1 priority 0 }\n}",
        over_budget, "4:1: program \"p\" needs at least threads 1, its budget has threads 0");
    expect_good(program_with("p", budget_of("1", "2"), "give a log\ngive b log"));
    expect_bad(program_with("p", budget_of("1", "1"), "give a log\ngive b log"), over_budget,
               "3:1: program \"p\" needs at least handles 2, its budget has handles 1");
}

TEST(manifest_check, made_budgets_come_out_of_the_programs_own) {
    const std::string child = "budget { pages 6 kernel 0 handles 0 threads 0 weight 9 priority 8 }";
    expect_good(program_with("p", budget_of("12"), "give a " + child + "\ngive b " + child));
    expect_bad(program_with("p", budget_of("11"), "give a " + child + "\ngive b " + child),
               over_budget, "6:8: budgets that \"p\" is given take pages 12, its own has pages 11");
    expect_bad(program_with("p", budget_of("99"),
                            "give a budget { pages 6 kernel 0 handles 0 threads 0 weight 9 "
                            "priority 9 }"),
               over_budget, "5:8: priority 9 is above that of program \"p\", 8");
    expect_bad(program_with("p", budget_of("99"),
                            "give a budget { pages 6 kernel 0 handles 0 threads 0 weight 9 "
                            "priority 8 slots 1 }"),
               over_budget, "5:8: budgets that \"p\" is given take slots 1, its own has slots 0");
}

TEST(manifest_check, programs_share_the_total) {
    const std::string two = program("a") + program("b");
    expect_good("budget { pages 32 handles 16 weight 1 }\n" + two);
    expect_bad("budget { pages 31 }\n" + two, over_budget,
               "10:1: with program \"b\" the budgets take pages 32, more than pages 31");
    expect_bad("budget { kernel 20K }\n" + two, over_budget,
               "10:1: with program \"b\" the budgets take kernel 32768, more than kernel 20480");
    expect_bad("budget { priority 7 }\n" + two, over_budget,
               "4:1: priority 8 of program \"a\" is above 7");
    // What is not stated is not checked, what is stated as nothing is.
    expect_good("budget { }\n" + two);
    expect_bad("budget { threads 0 }\n" + two, over_budget,
               "4:1: with program \"a\" the budgets take threads 1, more than threads 0");
}

TEST(manifest_check, largest_amounts_do_not_overflow) {
    std::string text;
    for (size_t index = 0; index < manifest_programs_max; index++) {
        text += program_with("p" + std::to_string(index), budget_of("281474976710656"));
    }
    expect_good(text);
    expect_bad("budget { pages 281474976710656 }\n" + text, over_budget,
               "10:1: with program \"p1\" the budgets take pages 562949953421312, more "
               "than pages 281474976710656");
}

TEST(manifest_check, fits_what_is_there) {
    const std::string text = program("a") + program("b");
    const Outcome outcome = parse(text);
    ASSERT_TRUE(outcome.accepted) << outcome.report;
    abi::BudgetLimits available{};
    for (uint64_t& amount : available.amount) amount = 1 << 20;
    available.cpu_weight = 1;
    available.priority_ceiling = 8;
    ManifestError error;
    EXPECT_TRUE(fits_budget(*outcome.manifest, available, error));
    available.amount[static_cast<unsigned>(abi::Resource::handles)] = 15;
    EXPECT_FALSE(fits_budget(*outcome.manifest, available, error));
    EXPECT_EQ(error.message(),
              "with program \"b\" the budgets take handles 16, more than handles 15");
    EXPECT_EQ(error.place.line, 9u);
}

TEST(manifest_limits, text) {
    expect_good(std::string(manifest_text_max, '\n'));
    expect_bad(std::string(manifest_text_max + 1, '\n'), too_many,
               "1:1: the manifest has 65537 bytes, the limit is 65536");
}

TEST(manifest_limits, names) {
    const std::string longest(manifest_name_max, 'n');
    expect_good(program(longest));
    expect_good(program("a", "provide " + longest) + program("b", "give x " + longest));
    // All of manifest_name_max + 1 bytes.
    expect_bad(program(longest + "n"), too_many, "1:9: a name of 32 bytes, the limit is 31");
    expect_bad_line("provide " + longest + "n", too_many, "9: a name of 32 bytes, the limit is 31");
    expect_bad_line("give " + longest + "n log", too_many,
                    "6: a name of 32 bytes, the limit is 31");
    expect_bad_line("give n " + longest + "n", too_many, "8: a name of 32 bytes, the limit is 31");
}

TEST(manifest_limits, programs) {
    std::string text;
    for (size_t index = 0; index < manifest_programs_max; index++) {
        text += program("p" + std::to_string(index));
    }
    expect_good(text);
    // manifest_programs_max + 1.
    expect_bad(text + program("q"), too_many, "385:9: more than 64 programs");
}

TEST(manifest_limits, restarts) {
    const auto restart = [](uint32_t count) {
        return "on fault restart " + std::to_string(count) + " per 1s";
    };
    expect_good(program("p", restart(manifest_restarts_max)));
    expect_bad_line(restart(manifest_restarts_max + 1), bad_value,
                    "18: expected a number of restarts from 1 to 32, found \"33\"");
}

// The amounts of all programs are added up in 64 bits.
TEST(manifest_limits, amounts) {
    constexpr uint64_t count_max = uint64_t{1} << 48;
    expect_good(program_with("p", budget_of(std::to_string(count_max))));
    expect_bad(
        program_with("p", budget_of(std::to_string(count_max + 1))), bad_value,
        "3:16: expected a number of pages from 0 to 281474976710656, found \"281474976710657\"");
}

TEST(manifest_limits, shown_tokens) {
    constexpr size_t shown_max = 40;
    const auto shown = [](size_t size) {
        const Outcome outcome = parse(std::string(size, 'w'));
        EXPECT_FALSE(outcome.accepted);
        return std::string(outcome.error.message());
    };
    EXPECT_NE(shown(shown_max).find('"' + std::string(shown_max, 'w') + '"'), std::string::npos);
    const std::string cut = shown(shown_max + 1);
    EXPECT_NE(cut.find('"' + std::string(shown_max, 'w') + "..."), std::string::npos) << cut;
}

TEST(manifest_limits, gives) {
    const auto give_all = [](size_t count) {
        std::string text;
        for (size_t first = 0; first < count; first += 64) {
            const size_t here = count - first < 64 ? count - first : 64;
            text += program_with("p" + std::to_string(first), budget_of("1", "64"),
                                 repeat(here, "give g", " log\n"));
        }
        return text;
    };
    expect_good(give_all(manifest_gives_max));
    expect_bad(give_all(manifest_gives_max + 1), too_many,
               "565:1: more than 512 objects are given");
}

TEST(manifest_limits, arguments) {
    expect_good(program("p", repeat(manifest_arguments_max, "argument '", "'\n")));
    expect_bad(program("p", repeat(manifest_arguments_max + 1, "argument '", "'\n")), too_many,
               "261:1: more than 256 arguments");
}

TEST(manifest_limits, provided_names) {
    expect_good(program("p", repeat(manifest_provides_max, "provide n")));
    expect_bad(program("p", repeat(manifest_provides_max + 1, "provide n")), too_many,
               "133:1: more than 128 provided names");
}

TEST(manifest_limits, argument_length) {
    expect_good(program("p", "argument '" + std::string(manifest_argument_max, 'a') + "'"));
    expect_bad_line("argument '" + std::string(manifest_argument_max + 1, 'a') + "'", too_many,
                    "10: an argument of 256 bytes, the limit is 255");
}

TEST(manifest_limits, made_budgets) {
    const std::string child =
        " budget { pages 0 kernel 0 handles 0 threads 0 weight 1 priority 0 }\n";
    const std::string own = budget_of("1", "64");
    expect_good(program_with("p", own, repeat(manifest_child_budgets_max, "give g", child)));
    expect_bad(program_with("p", own, repeat(manifest_child_budgets_max + 1, "give g", child)),
               too_many, "37:10: more than 32 budgets are made");
}

}  // namespace
}  // namespace annulus::init
