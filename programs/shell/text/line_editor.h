// SPDX-License-Identifier: MIT
// Turns typed bytes into lines, and says what the terminal is to show meanwhile. Policy-free.
//
//   Enter (CR, LF or both)   the line is complete
//   Backspace, Delete        takes the last character away     Ctrl-U, Ctrl-W: all, the last word
//   Ctrl-C                   gives the line up                 Ctrl-D: on an empty line, the end
//
// Other control bytes and the sequences of cursor keys are dropped. Bytes above 0x7f are taken as
// UTF-8: a character goes as a whole.
#pragma once

#include "base/format.h"
#include "programs/shell/text/words.h"

namespace annulus::shell {

enum class Typed : uint8_t {
    nothing,    // the line goes on
    line,       // complete: text()
    interrupt,  // Ctrl-C
    end,        // Ctrl-D
};

class LineEditor {
public:
    // The most that one byte makes the terminal show.
    static constexpr size_t echo_max = 3 * line_max + 1;

    // Takes a byte, and appends what is to be shown to `echo`. After anything but `nothing` the
    // next byte begins a new line.
    Typed take(char byte, TextBuffer& echo);

    // The line so far, or the complete one until the next byte.
    std::string_view text() const { return {text_.data(), size_}; }

private:
    enum class Sequence : uint8_t { none, escape, parameters };

    bool in_sequence(char byte);
    void erase_one(TextBuffer& echo);
    void erase_word(TextBuffer& echo);

    std::array<char, line_max> text_{};
    size_t size_ = 0;
    bool complete_ = false;
    bool after_return_ = false;
    Sequence sequence_ = Sequence::none;
};

}  // namespace annulus::shell
