// SPDX-License-Identifier: MIT
// Tests of the manifest: sound ones, and every message of the parser.
#include "services/init/manifest.h"
#include "tests/host/init/manifest_text.h"

namespace annulus::init {
namespace {

using namespace test;
using abi::Resource;
using enum ManifestFault;

constexpr const char* golden = R"(# the console driver
program console {
    file     "drivers/console"
    budget   { pages 256  kernel 128K  handles 64  threads 4  weight 100  priority 24 }
    give     ports    hardware.ports 0x3f8 8
    give     line     hardware.interrupt 4
    provide  console
    on exit  restart 5 per 60s
}

budget { pages 4096 kernel 1M handles 1024 threads 32 priority 31 }

program hello {
    file     "programs/hello"
    argument "world"
    argument 'say "hi"'
    budget   {
        pages 128
        kernel 0x8000   # bytes
        handles 16
        threads 2       weight 50
        priority 8      timers 3
    }
    give     output   console  rights write
    give     own      budget   rights create spend
    give     spare    budget { pages 8 kernel 4K handles 0 threads 0 weight 1
                               priority 8 } rights get
    give     device   hardware.registers 0xfed00000 4K
    on exit  nothing
    on fault restart 1 per 250ms then shutdown
}
)";

uint64_t amount(const ManifestBudget& budget, Resource resource) {
    return budget.limits.amount[static_cast<unsigned>(resource)];
}

TEST(manifest, golden_programs) {
    const std::string text = golden;
    const Outcome outcome = parse(text);
    ASSERT_TRUE(outcome.accepted) << outcome.report;
    const Manifest& manifest = *outcome.manifest;
    ASSERT_EQ(manifest.program_count, 2u);
    const Program& console = manifest.programs[0];
    EXPECT_EQ(console.name, "console");
    EXPECT_EQ(console.file, "drivers/console");
    EXPECT_EQ(console.place.line, 2u);
    EXPECT_EQ(console.place.column, 9u);
    ASSERT_EQ(manifest.provides_of(console).size(), 1u);
    EXPECT_EQ(manifest.provides_of(console)[0].name, "console");
    const Program& hello = manifest.programs[1];
    ASSERT_EQ(manifest.arguments_of(hello).size(), 2u);
    EXPECT_EQ(manifest.arguments_of(hello)[0], "world");
    EXPECT_EQ(manifest.arguments_of(hello)[1], "say \"hi\"");
    EXPECT_TRUE(manifest.arguments_of(console).empty());
}

TEST(manifest, golden_budgets) {
    const std::string text = golden;
    const Outcome outcome = parse(text);
    ASSERT_TRUE(outcome.accepted) << outcome.report;
    const ManifestBudget& console = outcome.manifest->programs[0].budget;
    EXPECT_EQ(amount(console, Resource::pages), 256u);
    EXPECT_EQ(amount(console, Resource::kernel_bytes), 128u * 1024);
    EXPECT_EQ(amount(console, Resource::handles), 64u);
    EXPECT_EQ(amount(console, Resource::threads), 4u);
    EXPECT_EQ(amount(console, Resource::timers), 0u);
    EXPECT_EQ(console.limits.cpu_weight, 100u);
    EXPECT_EQ(console.limits.priority_ceiling, 24u);
    const ManifestBudget& hello = outcome.manifest->programs[1].budget;
    EXPECT_EQ(amount(hello, Resource::kernel_bytes), 0x8000u);
    EXPECT_EQ(amount(hello, Resource::timers), 3u);
    const ManifestBudget& total = outcome.manifest->total;
    EXPECT_EQ(amount(total, Resource::pages), 4096u);
    EXPECT_TRUE(total.states(ManifestBudget::priority_bit));
    EXPECT_FALSE(total.states(ManifestBudget::weight_bit));
}

TEST(manifest, golden_gives) {
    const std::string text = golden;
    const Outcome outcome = parse(text);
    ASSERT_TRUE(outcome.accepted) << outcome.report;
    const Manifest& manifest = *outcome.manifest;
    const auto driver = manifest.gives_of(manifest.programs[0]);
    ASSERT_EQ(driver.size(), 2u);
    EXPECT_EQ(driver[0].name, "ports");
    EXPECT_EQ(driver[0].kind, SourceKind::ports);
    EXPECT_EQ(driver[0].first, 0x3f8u);
    EXPECT_EQ(driver[0].count, 8u);
    EXPECT_EQ(driver[0].rights, abi::all_rights);
    EXPECT_EQ(driver[1].kind, SourceKind::interrupt);
    EXPECT_EQ(driver[1].first, 4u);
    const auto hello = manifest.gives_of(manifest.programs[1]);
    ASSERT_EQ(hello.size(), 4u);
    EXPECT_EQ(hello[0].kind, SourceKind::provided);
    EXPECT_EQ(hello[0].rights, abi::right_of(abi::Verb::write));
    EXPECT_EQ(hello[0].rights_type, abi::ObjectType::any);
    EXPECT_EQ(hello[0].place.line, 24u);
    EXPECT_EQ(manifest.provider_of(hello[0]), 0u);
    EXPECT_EQ(hello[1].kind, SourceKind::own_budget);
    EXPECT_EQ(hello[1].rights, abi::right_of(abi::Verb::create) | abi::right_spend);
    EXPECT_EQ(hello[1].rights_type, abi::ObjectType::budget);
    EXPECT_EQ(hello[2].kind, SourceKind::child_budget);
    EXPECT_EQ(amount(manifest.child_budgets[hello[2].index], Resource::pages), 8u);
    EXPECT_EQ(hello[3].kind, SourceKind::registers);
    EXPECT_EQ(hello[3].first, 0xfed00000u);
    EXPECT_EQ(hello[3].count, 4096u);
}

TEST(manifest, golden_ends) {
    const std::string text = golden;
    const Outcome outcome = parse(text);
    ASSERT_TRUE(outcome.accepted) << outcome.report;
    const Program& console = outcome.manifest->programs[0];
    EXPECT_EQ(console.on_exit.action, ExitAction::restart);
    EXPECT_EQ(console.on_exit.restarts, 5u);
    EXPECT_EQ(console.on_exit.window_ns, 60'000'000'000u);
    EXPECT_EQ(console.on_exit.otherwise, ExitAction::nothing);
    EXPECT_EQ(console.on_fault.restarts, 5u);
    const Program& hello = outcome.manifest->programs[1];
    EXPECT_EQ(hello.on_exit.action, ExitAction::nothing);
    EXPECT_EQ(hello.on_fault.action, ExitAction::restart);
    EXPECT_EQ(hello.on_fault.window_ns, 250'000'000u);
    EXPECT_EQ(hello.on_fault.otherwise, ExitAction::shut_down);
}

TEST(manifest, nothing_is_a_manifest) {
    for (const char* text : {"", "\n", "# only a comment", "  \t\r\n"}) expect_good(text);
}

TEST(manifest, layout_is_free_within_lines) {
    expect_good(
        "program a{file'f' \n on exit shutdown\nbudget{pages 1 kernel 0 handles 0\n"
        "threads 1 weight 1\n\npriority 0}}");
    expect_good(program("a", "provide x\r\n\t provide y # both") + program("b", "give x x\r"));
}

TEST(manifest, what_others_provide_may_be_renewable_and_nothing_else) {
    const Outcome outcome = parse(program("a", "provide x") +
                                  program("b", "give x x renewable rights get open\ngive y x"));
    ASSERT_TRUE(outcome.accepted) << outcome.report;
    const auto gives = outcome.manifest->gives_of(outcome.manifest->programs[1]);
    EXPECT_TRUE(gives[0].renewable);
    EXPECT_EQ(gives[0].rights, abi::right_of(abi::Verb::get) | abi::right_of(abi::Verb::open));
    EXPECT_FALSE(gives[1].renewable);
    EXPECT_FALSE(
        parse(program("a", "provide x") + program("b", "give x x 'p' renewable")).accepted);
    EXPECT_FALSE(parse(program("a", "give x power renewable")).accepted);
    EXPECT_FALSE(parse(program("a", "give x power whenever")).accepted);
}

TEST(manifest, what_is_given_whenever_it_comes_makes_nobody_wait) {
    // Two that are handed something of each other: one of them waits.
    const Outcome outcome =
        parse(program("a", "provide x\ngive y y whenever") + program("b", "provide y\ngive x x"));
    ASSERT_TRUE(outcome.accepted) << outcome.report;
    const Manifest& manifest = *outcome.manifest;
    const Give& give = manifest.gives_of(manifest.programs[0])[0];
    EXPECT_TRUE(give.renewable && give.whenever);
    EXPECT_FALSE(give.is_awaited());
    EXPECT_TRUE(manifest.gives_of(manifest.programs[1])[0].is_awaited());
    EXPECT_FALSE(
        parse(program("a", "provide x\ngive y y renewable") + program("b", "provide y\ngive x x"))
            .accepted);
}

TEST(manifest, every_source_and_right) {
    expect_good(program("p",
                        "give a budget\ngive b root.budget rights create spend\n"
                        "give c archive rights map read\ngive d firmware rights map execute\n"
                        "give e hardware rights create\ngive f power rights shutdown\n"
                        "give g log rights write\ngive h hardware.interrupt 1 rights watch set"));
    expect_good(program("a", "provide x") +
                program("b",
                        "give x x rights read write open create remove rename get set list "
                        "share map sync accept shutdown watch close signal wait"));
}

TEST(manifest, order_of_programs_does_not_matter) {
    expect_good(program("b", "give x x") + program("a", "provide x"));
}

TEST(manifest, parsing_twice_leaves_nothing_behind) {
    auto manifest = std::make_unique<Manifest>();
    ManifestError error;
    ASSERT_TRUE(parse_manifest(golden, *manifest, error));
    const std::string text = program("p");
    ASSERT_TRUE(parse_manifest(text, *manifest, error));
    EXPECT_EQ(manifest->program_count, 1u);
    EXPECT_EQ(manifest->programs[0].gives.count, 0u);
    EXPECT_EQ(manifest->programs[0].on_fault.action, ExitAction::nothing);
    EXPECT_EQ(manifest->total.stated, 0u);
}

TEST(manifest, unexpected_tokens) {
    expect_bad("programme x {", unexpected, "1:1: expected program or budget, found \"programme\"");
    expect_bad("}", unexpected, "1:1: expected program or budget, found \"}\"");
    expect_bad("program {", unexpected, "1:9: expected the program's name, found \"{\"");
    expect_bad("program 7up {", unexpected, "1:9: expected the program's name, found \"7up\"");
    expect_bad("program x\n{", unexpected, "1:10: expected \"{\", found the end of the line");
    expect_bad(
        "program x {", unexpected,
        "1:12: expected file, budget, argument, give, provide, on or \"}\", found the end of "
        "the manifest");
    expect_bad("program x {\n\tfle", unexpected,
               "2:2: expected file, budget, argument, give, provide, on or \"}\", found \"fle\"");
    expect_bad("budget 5", unexpected, "1:8: expected \"{\", found \"5\"");
    expect_bad("budget { pages 5 } budget", unexpected,
               "1:20: expected the end of the line, found \"budget\"");
    expect_bad_line("provide x y", unexpected, "11: expected the end of the line, found \"y\"");
    expect_bad_line("argument 5", unexpected, "10: expected an argument in quotes, found \"5\"");
    expect_bad_line("argument \"5", unexpected,
                    "10: expected an argument in quotes, found a string without its closing quote");
    expect_bad_line("argument \"a\x01\"", unexpected,
                    "12: expected an argument in quotes, found the byte 0x01");
    expect_bad_line("provide \x80", unexpected,
                    "9: expected the name to provide, found the byte 0x80");
    expect_bad_line("provide ;", unexpected, "9: expected the name to provide, found \";\"");
    expect_bad_line("provide \"x\"", unexpected,
                    "9: expected the name to provide, found the string \"x\"");
    expect_bad(std::string("\0", 1), unexpected,
               "1:1: expected program or budget, found the byte 0x00");
    expect_bad("\xef\xbb\xbfprogram", unexpected,
               "1:1: expected program or budget, found the byte 0xef");
}

TEST(manifest, long_findings_are_cut_off) {
    expect_bad(std::string(1000, 'x'), unexpected,
               "1:1: expected program or budget, found \"" + std::string(40, 'x') + "...\"");
}

TEST(manifest, bad_files) {
    expect_bad("program x {\nfile drivers/x", unexpected,
               "2:6: expected the file's path in quotes, found \"drivers\"");
    for (const char* path : {"", "/x", "a//b", "../x", "a/", "a\tb"}) {
        const std::string shown = path == std::string("a\tb") ? "a?b" : path;
        expect_bad("program x {\nfile \"" + std::string(path) + "\"", bad_value,
                   "2:6: expected a path in the boot archive such as \"drivers/console\", found "
                   "the string \"" +
                       shown + "\"");
    }
    expect_bad_line("file \"f\"", duplicate, "1: a second file for program \"p\"");
}

TEST(manifest, bad_budgets) {
    const std::string start = "program x {\n";
    expect_bad(start + "budget { pages many }", unexpected,
               "2:16: expected a number of pages, found \"many\"");
    expect_bad(start + "budget { pages 12x }", bad_value,
               "2:16: expected a number of pages, found \"12x\"");
    expect_bad(start + "budget { pages 1K }", bad_value,
               "2:16: expected a number of pages, found \"1K\"");
    expect_bad(start + "budget { kernel 1T }", bad_value,
               "2:17: expected a size in bytes such as 128K, found \"1T\"");
    expect_bad(start + "budget { kernel", unexpected,
               "2:16: expected a size in bytes such as 128K, found the end of the manifest");
    expect_bad(start + "budget { weight 1001 }", bad_value,
               "2:17: expected a CPU weight from 1 to 1000, found \"1001\"");
    expect_bad(start + "budget { weight 0 }", bad_value,
               "2:17: expected a CPU weight from 1 to 1000, found \"0\"");
    expect_bad(start + "budget { priority 64 }", bad_value,
               "2:19: expected a priority from 0 to 63, found \"64\"");
    expect_bad(start + "budget { handles 65537 }", bad_value,
               "2:18: expected a number of handles from 0 to 65536, found \"65537\"");
    expect_bad(start + "budget { page 4 }", unexpected,
               "2:10: expected a resource such as pages, or \"}\", found \"page\"");
    expect_bad(start + "budget { pages 4\n pages 5 }", duplicate,
               "3:2: \"pages\" is stated twice in one budget");
    expect_bad_line("budget { pages 4 }", duplicate,
                    "1: a second \"budget\"; the first is in line 3");
    expect_bad("budget { }\nbudget { }", duplicate,
               "2:1: a second \"budget\"; the first is in line 1");
}

TEST(manifest, a_budget_states_everything_that_matters) {
    const std::string resources[] = {"pages", "kernel", "handles", "threads", "weight", "priority"};
    for (const std::string& missing_one : resources) {
        std::string budget = "budget { ";
        for (const std::string& resource : resources) {
            if (resource != missing_one) budget += resource + " 1 ";
        }
        budget += "}";
        expect_bad("program x {\n" + budget, missing,
                   "2:1: the budget does not state \"" + missing_one + "\"");
        expect_bad_line("give b " + budget, missing,
                        "8: the budget does not state \"" + missing_one + "\"");
    }
}

TEST(manifest, bad_gives) {
    expect_bad_line("give", unexpected,
                    "5: expected a name for the object, found the end of the "
                    "line");
    expect_bad_line("give x", unexpected, "7: expected what to give, found the end of the line");
    expect_bad_line("give x 5", unexpected, "8: expected what to give, found \"5\"");
    expect_bad_line("give clock archive", duplicate,
                    "6: every program has the clock under this name");
    expect_bad_line("give process archive", duplicate,
                    "6: every program has its own process under this name");
    expect_bad_line("give exports archive", duplicate,
                    "6: every program has the directory for what it provides under this name");
    expect_bad_line("give x clock", duplicate, "8: every program has the clock; it is not given");
    expect_bad(program("p", "give x archive\ngive x power"), duplicate,
               "6:6: a second object named \"x\" for program \"p\"; the first is in line 5");
    expect_bad_line("give x nobody", unknown_name,
                    "8: no program provides \"nobody\", and init has no object of this name");
    expect_bad_line("give x hardware.port 1 2", unexpected,
                    "22: expected the end of the line, found \"1\"");
}

TEST(manifest, bad_hardware) {
    expect_bad_line("give x hardware.ports", unexpected,
                    "22: expected an I/O port, found the end of the line");
    expect_bad_line("give x hardware.ports 0x10000 1", bad_value,
                    "23: expected an I/O port from 0 to 65535, found \"0x10000\"");
    expect_bad_line("give x hardware.ports 0 0", bad_value,
                    "25: expected a number of I/O ports from 1 to 65536, found \"0\"");
    expect_bad_line("give x hardware.ports 0xffff 2", bad_value,
                    "23: ports beyond 0xffff: 0xffff and 1 more");
    expect_good(program("p", "give x hardware.ports 0xffff 1"));
    expect_good(program("p", "give x hardware.ports 0 0x10000"));
    expect_bad_line("give x hardware.interrupt 1024", bad_value,
                    "27: expected an interrupt line from 0 to 1023, found \"1024\"");
    expect_good(program("p", "give x hardware.interrupt 1023"));
    expect_bad_line("give x hardware.registers low 1", unexpected,
                    "27: expected a physical address, found \"low\"");
    expect_bad_line("give x hardware.registers 0 0", bad_value,
                    "29: expected a length in bytes, found \"0\"");
    expect_bad_line("give x hardware.registers 0x1000 5K", bad_value,
                    "27: address and length must be multiples of a page, 4096 bytes");
    expect_bad_line("give x hardware.registers 0x1080 4K", bad_value,
                    "27: address and length must be multiples of a page, 4096 bytes");
    expect_bad_line("give x hardware.registers 0xfffffffffffff000 4K", bad_value,
                    "27: registers beyond the last address");
    expect_good(program("p", "give x hardware.registers 0xffffffffffffe000 4K"));
}

TEST(manifest, hardware_is_given_once) {
    const auto two = [](const std::string& first, const std::string& second) {
        return program("a", "give x " + first) + program("b", "give x " + second);
    };
    expect_good(two("hardware.ports 0x10 8", "hardware.ports 0x18 8"));
    expect_good(two("hardware.ports 4 1", "hardware.interrupt 4"));
    expect_bad(two("hardware.ports 0x10 8", "hardware.ports 0x17 8"), overlap,
               "11:8: hardware.ports from 0x17 on was already given in line 5");
    expect_bad(two("hardware.ports 0x17 8", "hardware.ports 0x10 8"), overlap,
               "11:8: hardware.ports from 0x17 on was already given in line 5");
    expect_bad(two("hardware.interrupt 4", "hardware.interrupt 4"), overlap,
               "11:8: hardware.interrupt from 0x4 on was already given in line 5");
    expect_bad(two("hardware.registers 0 8K", "hardware.registers 4096 4K"), overlap,
               "11:8: hardware.registers from 0x1000 on was already given in line 5");
    expect_good(two("hardware.registers 0 4K", "hardware.registers 4096 4K"));
}

TEST(manifest, bad_rights) {
    expect_bad_line("give x power rights", unexpected,
                    "20: expected a right such as read or write, found the end of the line");
    expect_bad_line("give x power rights fly", unexpected,
                    "21: expected a right such as read or write, found \"fly\"");
    expect_bad_line("give x power rights read get read", duplicate,
                    "30: the right \"read\" is named twice");
    expect_bad_line("give x power right read", unexpected,
                    "14: expected the end of the line, found \"right\"");
    // The bit of "signal" would be "spend" on a budget.
    expect_bad_line("give x budget rights signal", wrong_type,
                    "22: \"signal\" is not a right of this type of object");
    expect_bad(program("p", "provide y") + program("q", "give x y rights signal execute"),
               wrong_type, "11:24: \"execute\" is not a right of this type of object");
}

TEST(manifest, bad_ends) {
    expect_bad_line("on death nothing", unexpected, "4: expected exit or fault, found \"death\"");
    expect_bad_line("on fault reboot", unexpected,
                    "10: expected nothing, restart or shutdown, found \"reboot\"");
    expect_bad_line("on exit nothing", duplicate,
                    "4: a second \"on exit\"; the first is in line 4");
    expect_bad_line("on fault restart", unexpected,
                    "17: expected a number of restarts, found the end of the line");
    expect_bad_line("on fault restart 0 per 1s", bad_value,
                    "18: expected a number of restarts from 1 to 32, found \"0\"");
    expect_bad_line("on fault restart 33 per 1s", bad_value,
                    "18: expected a number of restarts from 1 to 32, found \"33\"");
    expect_good(program("p", "on fault restart 32 per 1ns"));
    expect_bad_line("on fault restart 5 in 1s", unexpected, "20: expected per, found \"in\"");
    expect_bad_line("on fault restart 5 per 60", bad_value,
                    "24: expected a duration such as 500ms or 60s, found \"60\"");
    expect_bad_line("on fault restart 5 per 0s", bad_value,
                    "24: expected a duration such as 500ms or 60s, found \"0s\"");
    expect_bad_line("on fault restart 5 per 1s then restart", unexpected,
                    "32: expected nothing or shutdown, found \"restart\"");
}

TEST(manifest, missing_lines) {
    expect_bad("\nprogram x {\n}", missing, "2:9: program \"x\" has no line: file \"path\"");
    expect_bad("program x {\nfile \"f\"\n}", missing,
               "1:9: program \"x\" has no line: budget { ... }");
    expect_bad("program x {\nfile \"f\"\n" + small_budget + "}", missing,
               "1:9: program \"x\" has no line: on exit ...");
}

TEST(manifest, caret_points_at_the_column) {
    char buffer[100];
    EXPECT_EQ(format_caret(buffer, "a\n\tb\x01 cd\ne", {2, 5}), "\tb? cd\n\t   ^");
    EXPECT_EQ(format_caret(buffer, "ab", {1, 3}), "ab\n  ^");
    EXPECT_EQ(format_caret(buffer, "", {1, 1}), "\n^");
    EXPECT_EQ(format_caret(buffer, "a", {2, 1}), "");
    EXPECT_EQ(format_caret(buffer, "a", {0, 0}), "");
    // Without room for the caret only the line's beginning is shown.
    EXPECT_EQ(format_caret(std::span(buffer).first(8), "abcdefgh", {1, 7}), "abc\n");
    EXPECT_EQ(format_caret(std::span(buffer).first(8), "abcdefgh", {1, 4}), "abc\n   ^");
    EXPECT_EQ(format_caret(std::span<char>(), "abc", {1, 1}), "");
}

TEST(manifest, a_part_of_a_provided_object_is_named_by_its_path) {
    const std::string text =
        program("server", "provide net") + program("client",
                                                   "give web net \"tcp/listen/80\" rights accept\n"
                                                   "give all net");
    const Outcome outcome = parse(text);
    ASSERT_TRUE(outcome.accepted) << outcome.report;
    const auto gives = outcome.manifest->gives_of(outcome.manifest->programs[1]);
    EXPECT_EQ(gives[0].path, "tcp/listen/80");
    EXPECT_EQ(gives[0].rights, abi::right_of(abi::Verb::accept));
    EXPECT_EQ(gives[1].path, "");
}

TEST(manifest, a_path_is_sound_and_belongs_to_a_provided_object) {
    expect_bad_line("give x net \"\"", bad_value,
                    "12: \"\" is no path: names with one / between two of them, none . or ..");
    expect_bad_line("give x net \"tcp/../80\"", bad_value,
                    "12: \"tcp/../80\" is no path: names with one / between two of them, none . or "
                    "..");
    expect_bad_line("give x archive \"manifest\"", unexpected,
                    "16: expected the end of the line, found the string \"manifest\"");
}

}  // namespace
}  // namespace annulus::init
