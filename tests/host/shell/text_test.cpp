// SPDX-License-Identifier: MIT
// Tests of what the shell makes of bytes, lines and words.
#include <gtest/gtest.h>

#include <string>

#include "programs/shell/text/line_editor.h"
#include "programs/shell/text/run_request.h"

namespace annulus::shell {
namespace {

std::string joined(const Words& words) {
    std::string all;
    for (const auto word : words.all()) all += "[" + std::string(word) + "]";
    return all;
}

std::string words_of(std::string_view line) {
    Words words;
    EXPECT_EQ(words.read(line), LineFault::none) << line;
    return joined(words);
}

TEST(shell_words, stand_between_blanks) {
    EXPECT_EQ(words_of(""), "");
    EXPECT_EQ(words_of("  \t "), "");
    EXPECT_EQ(words_of("list files"), "[list][files]");
    EXPECT_EQ(words_of("  list\tfiles  "), "[list][files]");
}

TEST(shell_words, quotes_keep_blanks_and_the_other_quote) {
    EXPECT_EQ(words_of("write a 'b  c'"), "[write][a][b  c]");
    EXPECT_EQ(words_of("\"it's\" 'a \"b\"'"), "[it's][a \"b\"]");
    EXPECT_EQ(words_of("a'b c'd\"e\""), "[ab cde]");
    EXPECT_EQ(words_of("'' x"), "[][x]");
    EXPECT_EQ(words_of("a\\n"), "[a\\n]");
}

TEST(shell_words, faults_and_their_places) {
    Words words;
    EXPECT_EQ(words.read("say 'hello"), LineFault::open_quote);
    EXPECT_EQ(words.place(), 4u);
    std::string many;
    for (size_t i = 0; i < words_max; i++) many += "a ";
    EXPECT_EQ(words.read(many), LineFault::none);
    EXPECT_EQ(words.all().size(), words_max);
    EXPECT_EQ(words.read(many + "b"), LineFault::too_many_words);  // words_max + 1
    EXPECT_EQ(words.read(std::string(line_max, 'x')), LineFault::none);
    EXPECT_EQ(words.read(std::string(line_max + 1, 'x')), LineFault::too_long);
}

// What a text of typed bytes gives: lines in brackets, events in angles.
struct Typing {
    std::string type(std::string_view bytes) {
        std::string events;
        char buffer[8 * LineEditor::echo_max];
        TextBuffer echo(buffer);
        for (const char byte : bytes) {
            switch (editor.take(byte, echo)) {
                case Typed::nothing: break;
                case Typed::line: events += "[" + std::string(editor.text()) + "]"; break;
                case Typed::interrupt: events += "<interrupt>"; break;
                case Typed::end: events += "<end>"; break;
            }
        }
        shown = echo.text();
        return events;
    }

    LineEditor editor;
    std::string shown;
};

TEST(shell_editor, lines_end_with_any_end_of_line) {
    Typing typing;
    EXPECT_EQ(typing.type("a\rb\nc\r\nd\n\n"), "[a][b][c][d][]");
    EXPECT_EQ(typing.shown, "a\nb\nc\nd\n\n");
}

TEST(shell_editor, erasing) {
    Typing typing;
    EXPECT_EQ(typing.type("ab\x7f\b\b"
                          "c\n"),
              "[c]");
    EXPECT_EQ(typing.shown, "ab\b \b\b \bc\n");
    EXPECT_EQ(typing.type("\xc3\xa4\x7f\xe2\x82\xac\n"), "[\xe2\x82\xac]");
    EXPECT_EQ(typing.type("one two\x17three\n"), "[one three]");
    EXPECT_EQ(typing.type("one two \x17\x17x\n"), "[x]");
    EXPECT_EQ(typing.type("one two\x15x\n"), "[x]");
}

TEST(shell_editor, interrupts_give_the_line_up) {
    Typing typing;
    EXPECT_EQ(typing.type("half\x03whole\n"), "<interrupt>[whole]");
    EXPECT_EQ(typing.shown, "half^C\nwhole\n");
}

TEST(shell_editor, the_end_needs_an_empty_line) {
    Typing typing;
    EXPECT_EQ(typing.type("a\x04\n\x04"), "[a]<end>");
}

TEST(shell_editor, cursor_keys_are_dropped) {
    Typing typing;
    EXPECT_EQ(typing.type("a\x1b[A\x1b[1;5Db\x1bOPc\x1bxd\n"), "[abcd]");
    EXPECT_EQ(typing.type("a\x1b[1\nb\n"), "[a][b]");
}

TEST(shell_editor, a_full_line_takes_no_more) {
    Typing typing;
    const std::string full(line_max, 'x');
    EXPECT_EQ(typing.type(full + "y\n"), "[" + full + "]");
    EXPECT_NE(typing.shown.find('\a'), std::string::npos);
}

struct Asked {
    explicit Asked(std::string_view line) {
        EXPECT_EQ(words.read(line), LineFault::none);
        fault = read_run(words.all(), request, word);
    }
    Words words;
    RunRequest request;
    RunFault fault;
    std::string_view word;
};

TEST(shell_run, objects_arguments_and_background) {
    const Asked asked("hello notes=files/notes:read,list log=log -- a -- b=c &");
    ASSERT_EQ(asked.fault, RunFault::none);
    EXPECT_EQ(asked.request.program, "hello");
    ASSERT_EQ(asked.request.object_count, 2u);
    EXPECT_EQ(asked.request.objects[0].name, "notes");
    EXPECT_EQ(asked.request.objects[0].object, "files/notes");
    EXPECT_EQ(asked.request.objects[0].rights,
              abi::right_of(abi::Verb::read) | abi::right_of(abi::Verb::list));
    EXPECT_EQ(asked.request.objects[1].rights, abi::all_rights);
    ASSERT_EQ(asked.request.arguments.size(), 3u);
    EXPECT_EQ(asked.request.arguments[1], "--");
    EXPECT_TRUE(asked.request.background);
}

TEST(shell_numbers, only_decimal_ones_up_to_the_most) {
    EXPECT_EQ(read_number("0", 0), 0u);
    EXPECT_EQ(read_number("007", 9), 7u);
    EXPECT_EQ(read_number("18446744073709551615", UINT64_MAX), UINT64_MAX);
    EXPECT_EQ(read_number("18446744073709551616", UINT64_MAX), std::nullopt);
    EXPECT_EQ(read_number("256", 256), 256u);
    EXPECT_EQ(read_number("257", 256), std::nullopt);
    EXPECT_EQ(read_number("9", 8), std::nullopt);
    for (const char* text : {"", "-1", "+1", "1 ", "1x", "0x1"}) {
        EXPECT_EQ(read_number(text, UINT64_MAX), std::nullopt) << text;
    }
}

TEST(shell_run, faults) {
    EXPECT_EQ(Asked("").fault, RunFault::no_program);
    EXPECT_EQ(Asked("&").fault, RunFault::no_program);
    EXPECT_EQ(Asked("-- x").fault, RunFault::no_program);
    EXPECT_EQ(Asked("hello files").fault, RunFault::no_object);
    EXPECT_EQ(Asked("hello =files").fault, RunFault::no_object);
    EXPECT_EQ(Asked("hello files=").fault, RunFault::no_object);
    EXPECT_EQ(Asked("hello a=:read").fault, RunFault::no_object);
    EXPECT_EQ(Asked("hello a=x a=y").fault, RunFault::name_twice);
    EXPECT_EQ(Asked("hello a=x:").fault, RunFault::unknown_right);
    const Asked asked("hello a=x:read,fly");
    EXPECT_EQ(asked.fault, RunFault::unknown_right);
    EXPECT_EQ(asked.word, "fly");
}

}  // namespace
}  // namespace annulus::shell
