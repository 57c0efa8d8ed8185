// SPDX-License-Identifier: MIT
// Cuts a manifest's text into tokens.
#include "services/init/manifest/lexer.h"

namespace annulus::init {
namespace {

// Bytes of a token that an error message shows.
constexpr size_t shown_max = 40;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool starts_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool continues_word(char c) { return starts_word(c) || is_digit(c) || c == '-' || c == '.'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// Controls have no place in a string: it may end up on a console.
bool belongs_in_string(char c) {
    const auto code = static_cast<unsigned char>(c);
    return (code >= 0x20 && code != 0x7f) || c == '\t';
}

bool is_printable(char c) { return c >= 0x20 && c < 0x7f; }

void append_shown(std::string_view text, TextBuffer& out) {
    for (const char c : text.substr(0, shown_max)) out.append(is_printable(c) ? c : '?');
    if (text.size() > shown_max) out.append("...");
}

}  // namespace

Token Lexer::next() {
    skip_blanks_and_comment();
    if (at_end()) return {TokenKind::end, {}, place_};
    const char c = text_[at_];
    if (c == '\n') {
        const Token token = take(TokenKind::end_of_line, 1);
        place_ = {place_.line + 1, 1};
        return token;
    }
    if (c == '{') return take(TokenKind::open, 1);
    if (c == '}') return take(TokenKind::close, 1);
    if (c == '"' || c == '\'') return take_string(c);
    if (!starts_word(c) && !is_digit(c)) return take(TokenKind::bad_character, 1);
    size_t length = 1;
    while (at_ + length < text_.size() && continues_word(text_[at_ + length])) length++;
    return take(is_digit(c) ? TokenKind::number : TokenKind::word, length);
}

void Lexer::skip_blanks_and_comment() {
    size_t length = 0;
    while (at_ + length < text_.size() && is_blank(text_[at_ + length])) length++;
    if (at_ + length < text_.size() && text_[at_ + length] == '#') {
        while (at_ + length < text_.size() && text_[at_ + length] != '\n') length++;
    }
    take(TokenKind::end, length);
}

Token Lexer::take(TokenKind kind, size_t length) {
    const Token token{kind, text_.substr(at_, length), place_};
    at_ += length;
    place_.column += static_cast<uint32_t>(length);
    return token;
}

Token Lexer::take_string(char quote) {
    size_t length = 1;
    while (at_ + length < text_.size() && text_[at_ + length] != quote) {
        const char c = text_[at_ + length];
        if (c == '\n') return take(TokenKind::open_string, length);
        if (!belongs_in_string(c)) {
            take(TokenKind::open_string, length);
            return take(TokenKind::bad_character, 1);
        }
        length++;
    }
    if (at_ + length == text_.size()) return take(TokenKind::open_string, length);
    Token token = take(TokenKind::string, length + 1);
    token.text = token.text.substr(1, length - 1);
    return token;
}

void describe(const Token& token, TextBuffer& out) {
    switch (token.kind) {
        case TokenKind::end_of_line: return out.append("the end of the line");
        case TokenKind::end: return out.append("the end of the manifest");
        case TokenKind::open_string: return out.append("a string without its closing quote");
        case TokenKind::bad_character:
            if (!is_printable(token.text.front())) {
                return format_to(
                    out, "the byte {x2}",
                    static_cast<uint64_t>(static_cast<unsigned char>(token.text.front())));
            }
            break;
        case TokenKind::string: out.append("the string "); break;
        default: break;
    }
    out.append('"');
    append_shown(token.text, out);
    out.append('"');
}

}  // namespace annulus::init
