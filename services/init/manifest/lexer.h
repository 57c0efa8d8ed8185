// SPDX-License-Identifier: MIT
// Cuts a manifest's text into words, numbers, strings, braces and line ends.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string_view>

#include "base/format.h"
#include "services/init/manifest.h"

namespace annulus::init {

enum class TokenKind : uint8_t {
    word,    // a letter or '_', then letters, digits, '_', '-' and '.'
    number,  // a digit, then as a word
    string,  // between two " or two ', on one line
    open,    // {
    close,   // }
    end_of_line,
    end,            // of the text
    bad_character,  // one byte that belongs to nothing above
    open_string,    // a string without its closing quote
};

struct Token {
    TokenKind kind = TokenKind::end;
    std::string_view text;  // of a string: without the quotes
    Place place;
};

class Lexer {
public:
    explicit Lexer(std::string_view text) : text_(text) {}

    // The next token; `end` for ever after the last one.
    Token next();

private:
    [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
    void skip_blanks_and_comment();
    Token take(TokenKind kind, size_t length);
    Token take_string(char quote);

    std::string_view text_;
    size_t at_ = 0;
    Place place_{1, 1};
};

// Appends the token as an error message names it: "many", the end of the line, ...
void describe(const Token& token, TextBuffer& out);

}  // namespace annulus::init
