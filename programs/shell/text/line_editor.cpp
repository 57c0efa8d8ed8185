// SPDX-License-Identifier: MIT
// Turns typed bytes into lines.
#include "programs/shell/text/line_editor.h"

#include <utility>

namespace annulus::shell {
namespace {

constexpr char ctrl_c = 0x03;
constexpr char ctrl_d = 0x04;
constexpr char bell = 0x07;
constexpr char backspace = 0x08;
constexpr char ctrl_u = 0x15;
constexpr char ctrl_w = 0x17;
constexpr char escape = 0x1b;
constexpr char rubout = 0x7f;

constexpr unsigned char number_of(char c) { return static_cast<unsigned char>(c); }

// Bytes after the first of a UTF-8 character (RFC 3629, 3).
constexpr bool continues_character(char c) { return (number_of(c) & 0xc0) == 0x80; }

}  // namespace

Typed LineEditor::take(char byte, TextBuffer& echo) {
    if (std::exchange(complete_, false)) size_ = 0;
    // CR and LF together are one end of line.
    if (std::exchange(after_return_, false) && byte == '\n') return Typed::nothing;
    if (in_sequence(byte)) return Typed::nothing;
    switch (byte) {
        case '\r':
        case '\n':
            after_return_ = byte == '\r';
            complete_ = true;
            echo.append('\n');
            return Typed::line;
        case ctrl_c:
            size_ = 0;
            echo.append("^C\n");
            return Typed::interrupt;
        case ctrl_d: return size_ == 0 ? Typed::end : Typed::nothing;
        case backspace:
        case rubout: erase_one(echo); return Typed::nothing;
        case ctrl_u:
            while (size_ > 0) erase_one(echo);
            return Typed::nothing;
        case ctrl_w: erase_word(echo); return Typed::nothing;
        default: break;
    }
    if (number_of(byte) < ' ') return Typed::nothing;
    if (size_ == text_.size()) {
        echo.append(bell);
        return Typed::nothing;
    }
    text_[size_++] = byte;
    echo.append(byte);
    return Typed::nothing;
}

// ESC, or ESC [ and parameters up to a final byte (ECMA-48, 5.4). A control byte ends it.
bool LineEditor::in_sequence(char byte) {
    const unsigned char number = number_of(byte);
    switch (sequence_) {
        case Sequence::none:
            if (byte != escape) return false;
            sequence_ = Sequence::escape;
            return true;
        case Sequence::escape:
            sequence_ = byte == '[' || byte == 'O' ? Sequence::parameters : Sequence::none;
            return number >= ' ';
        case Sequence::parameters:
            if (number < ' ' || number >= 0x40) sequence_ = Sequence::none;
            return number >= ' ';
    }
    return false;
}

void LineEditor::erase_one(TextBuffer& echo) {
    if (size_ == 0) return;
    do {
        --size_;
    } while (size_ > 0 && continues_character(text_[size_]));
    echo.append("\b \b");
}

void LineEditor::erase_word(TextBuffer& echo) {
    while (size_ > 0 && text_[size_ - 1] == ' ') erase_one(echo);
    while (size_ > 0 && text_[size_ - 1] != ' ') erase_one(echo);
}

}  // namespace annulus::shell
