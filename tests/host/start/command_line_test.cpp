// SPDX-License-Identifier: MIT
// Words of the kernel's command line.
#include "kernel/start/command_line.h"

#include <gtest/gtest.h>

using annulus::kernel::command_line_value;

namespace {

TEST(CommandLine, finds_the_value_of_a_word) {
    EXPECT_EQ(command_line_value("panic=fault", "panic"), "fault");
    EXPECT_EQ(command_line_value("a=1 panic=fault b", "panic"), "fault");
    EXPECT_EQ(command_line_value("  panic=a=b  ", "panic"), "a=b");
}

TEST(CommandLine, the_last_word_counts) {
    EXPECT_EQ(command_line_value("panic=1 panic=2", "panic"), "2");
}

TEST(CommandLine, nothing_else_is_taken_for_it) {
    for (const char* line :
         {"", " ", "panic", "panic=", "panics=1", "xpanic=1", "pani=c", "=panic", "x panic"}) {
        EXPECT_EQ(command_line_value(line, "panic"), "") << line;
    }
}

}  // namespace
