// SPDX-License-Identifier: MIT
// Tests of the log's lines that wait to be written.
#include "services/init/log/line_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace annulus::init {
namespace {

std::string take(LineQueue& queue, size_t room = log_queue_line_max) {
    std::string buffer(room, '\0');
    return std::string(queue.take(buffer));
}

TEST(line_queue, every_line_gets_its_source_and_an_end) {
    LineQueue queue;
    EXPECT_TRUE(queue.empty());
    queue.append("a", "one\ntwo\r\n\nthree");
    queue.append("b", "");
    EXPECT_EQ(take(queue), "a: one\na: two\na: \na: three\n");
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(take(queue), "");
}

TEST(line_queue, control_bytes_are_shown_as_question_marks) {
    LineQueue queue;
    queue.append("a", std::string_view("\x1b[2J\ttab \x7f\0 \xc3\xa4", 14));
    EXPECT_EQ(take(queue), "a: ?[2J\ttab ?? \xc3\xa4\n");
}

TEST(line_queue, a_long_line_is_cut_to_what_one_write_takes) {
    LineQueue queue;
    queue.append("a", std::string(2 * log_queue_line_max, 'x'));
    const std::string line = take(queue);
    EXPECT_EQ(line.size(), log_queue_line_max);
    EXPECT_EQ(line.back(), '\n');
    EXPECT_TRUE(queue.empty());
    // With source and end log_queue_line_max bytes, which are kept, and log_queue_line_max + 1.
    for (const size_t size : {log_queue_line_max - 4, log_queue_line_max - 3}) {
        const std::string text = std::string(size - 1, 'x') + "y";
        queue.append("a", text);
        const std::string kept = text.substr(0, log_queue_line_max - 4);
        EXPECT_EQ(take(queue), "a: " + kept + "\n");
    }
}

TEST(line_queue, only_whole_lines_are_taken) {
    LineQueue queue;
    const std::string half(log_queue_line_max / 2, 'x');
    for (int i = 0; i < 3; i++) queue.append("a", half);
    EXPECT_EQ(take(queue), "a: " + half + "\n");
    EXPECT_EQ(take(queue, 2 * log_queue_line_max), "a: " + half + "\na: " + half + "\n");
}

TEST(line_queue, lost_lines_are_counted_where_they_are_missing) {
    auto queue = std::make_unique<LineQueue>();
    const std::string text(log_queue_line_max - 4, 'x');
    const size_t fit = LineQueue::capacity / log_queue_line_max;
    for (size_t i = 0; i < fit + 3; i++) queue->append("a", text);
    // Once lines are lost, later ones are, too, until that was told.
    EXPECT_EQ(take(*queue).size(), log_queue_line_max);
    queue->append("a", "short");
    for (size_t i = 1; i < fit; i++) EXPECT_EQ(take(*queue).size(), log_queue_line_max);
    EXPECT_EQ(take(*queue), "init: 4 lines of the log were lost\n");
    queue->append("a", "again");
    EXPECT_EQ(take(*queue), "a: again\n");
    EXPECT_TRUE(queue->empty());
}

}  // namespace
}  // namespace annulus::init
