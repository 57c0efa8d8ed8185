// SPDX-License-Identifier: MIT
// The parser of requests.
#include "services/http/message/request.h"

#include <algorithm>
#include <bit>

namespace annulus::http {
namespace {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// RFC 9110, 5.6.2.
constexpr auto token_bytes = [] {
    std::array<bool, 256> known{};
    for (unsigned byte = 0; byte < known.size(); byte++) {
        const char c = static_cast<char>(byte);
        constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
        known[byte] = is_digit(c) || is_letter(c) || marks.find(c) != std::string_view::npos;
    }
    return known;
}();

bool is_token_byte(char c) { return token_bytes[static_cast<unsigned char>(c)]; }

bool is_token(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_token_byte);
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// `wanted` is in lower case.
bool same_word(std::string_view text, std::string_view wanted) {
    return text.size() == wanted.size() && std::equal(text.begin(), text.end(), wanted.begin(),
                                                      [](char a, char b) { return lower(a) == b; });
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool has_blank(std::string_view text) { return std::any_of(text.begin(), text.end(), is_blank); }

std::string_view without_blanks(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

// Control bytes other than a tab have no place in any line.
bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

// How many bytes at the begin are no control bytes; a tab counts as one here. Eight at a time: the
// lowest byte that a subtraction marks is one that it was to find, and only higher ones may be
// marked by its carry.
size_t plain_run(std::string_view text) {
    constexpr uint64_t each = 0x0101010101010101;
    constexpr uint64_t tops = each * 0x80;
    size_t at = 0;
    for (; at + sizeof(uint64_t) <= text.size(); at += sizeof(uint64_t)) {
        uint64_t word;
        __builtin_memcpy(&word, text.data() + at, sizeof(word));
        const uint64_t last = word ^ each * 0x7f;
        const uint64_t marks =
            ((word - each * 0x20) & ~word & tops) | ((last - each) & ~last & tops);
        if (marks != 0) return at + static_cast<unsigned>(std::countr_zero(marks)) / 8;
    }
    while (at < text.size() && !is_control(text[at]) && text[at] != '\t') at++;
    return at;
}

Method method_of(std::string_view text) {
    if (text == "GET") return Method::get;
    if (text == "HEAD") return Method::head;
    for (const char* known : {"POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}) {
        if (text == known) return Method::known;
    }
    return Method::unknown;
}

}  // namespace

void RequestParser::reset() {
    state_ = State::reading;
    begun_ = in_header_ = old_version_ = closes_ = asks_to_keep_ = false;
    has_length_ = has_encoding_ = false;
    hosts_ = empty_lines_ = headers_ = error_ = 0;
    bytes_ = line_size_ = target_size_ = 0;
    request_ = {};
}

void RequestParser::fail(unsigned status) {
    state_ = State::failed;
    error_ = status;
}

size_t RequestParser::feed(std::string_view bytes) {
    size_t taken = 0;
    while (taken < bytes.size() && state_ == State::reading) {
        const size_t run = plain_run(bytes.substr(taken));
        if (run != 0) {
            taken += take_plain(bytes.substr(taken, run));
        } else {
            take(bytes[taken++]);
        }
    }
    return taken;
}

// Bytes that are no control bytes: all of them, or those up to the one that is wrong.
size_t RequestParser::take_plain(std::string_view bytes) {
    const bool behind_return = line_size_ > 0 && line_[line_size_ - 1] == '\r';
    const size_t room = std::min(header_bytes_max - bytes_, line_.size() - line_size_);
    // One that does not fit, and one behind a CR, is looked at alone: it fails.
    if (behind_return || room == 0) {
        take(bytes.front());
        return 1;
    }
    begun_ = true;
    const size_t count = std::min(room, bytes.size());
    std::copy_n(bytes.begin(), count, line_.begin() + static_cast<ptrdiff_t>(line_size_));
    line_size_ += count;
    bytes_ += count;
    return count;
}

void RequestParser::take(char byte) {
    if (byte == '\n') {
        if (line_size_ == 0 || line_[line_size_ - 1] != '\r') return fail(status::bad_request);
        const size_t size = line_size_ - 1;
        line_size_ = 0;
        return end_line({line_.data(), size});
    }
    // A CR stands only before the end of the line.
    if (line_size_ > 0 && line_[line_size_ - 1] == '\r') return fail(status::bad_request);
    if (byte != '\r') {
        begun_ = true;
        if (is_control(byte)) return fail(status::bad_request);
    }
    if (++bytes_ > header_bytes_max || line_size_ == line_.size()) {
        return fail(in_header_ ? status::header_too_large : status::target_too_long);
    }
    line_[line_size_++] = byte;
}

void RequestParser::end_line(std::string_view line) {
    if (in_header_) {
        if (line.empty()) return end_header();
        return read_header(line);
    }
    if (!line.empty()) return read_request_line(line);
    // Some clients send an empty line behind a body (RFC 9112, 2.2).
    constexpr unsigned empty_lines_max = 4;
    if (++empty_lines_ > empty_lines_max) fail(status::bad_request);
    bytes_ = 0;
}

void RequestParser::read_request_line(std::string_view line) {
    const size_t first = line.find(' ');
    const size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) return fail(status::bad_request);
    const std::string_view method = line.substr(0, first);
    const std::string_view target = line.substr(first + 1, last - first - 1);
    if (!is_token(method)) return fail(status::bad_request);
    if (has_blank(target)) return fail(status::bad_request);
    request_.method = method_of(method);
    read_version(line.substr(last + 1));
    if (state_ == State::reading) read_target(target);
    in_header_ = true;
}

void RequestParser::read_version(std::string_view version) {
    constexpr std::string_view name = "HTTP/";
    if (version.size() != name.size() + 3 || !version.starts_with(name) || version[6] != '.' ||
        !is_digit(version[5]) || !is_digit(version[7])) {
        return fail(status::bad_request);
    }
    if (version[5] != '1') return fail(status::wrong_version);
    old_version_ = version[7] == '0';
}

// Either a path, or an absolute address of which host and scheme do not matter here.
void RequestParser::read_target(std::string_view target) {
    // First of all, since a query may hold anything: also what looks like a path.
    target = target.substr(0, target.find('?'));
    if (target.find('#') != std::string_view::npos) return fail(status::bad_request);
    constexpr std::string_view scheme = "http://";
    if (target.size() > scheme.size() && same_word(target.substr(0, scheme.size()), scheme)) {
        const size_t host = scheme.size();
        const size_t path = target.find('/', host);
        if (path == host) return fail(status::bad_request);
        target = path == std::string_view::npos ? "/" : target.substr(path);
    }
    // "*" and "host:port" belong to methods that are not served.
    if (!target.starts_with('/')) {
        const bool served = request_.method == Method::get || request_.method == Method::head;
        if (served) return fail(status::bad_request);
        target = "/";
    }
    if (target.size() > target_.size()) return fail(status::target_too_long);
    std::copy(target.begin(), target.end(), target_.begin());
    target_size_ = target.size();
}

void RequestParser::read_header(std::string_view line) {
    if (++headers_ > header_count_max) return fail(status::header_too_large);
    const size_t colon = line.find(':');
    // Also refuses folded lines, which begin with a blank.
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
        return fail(status::bad_request);
    }
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = without_blanks(line.substr(colon + 1));
    if (same_word(name, "host")) {
        hosts_++;
        const auto is_foreign = [](char c) { return is_blank(c) || c == '/' || c == '@'; };
        if (std::any_of(value.begin(), value.end(), is_foreign)) fail(status::bad_request);
    } else if (same_word(name, "content-length")) {
        read_length(value);
    } else if (same_word(name, "transfer-encoding")) {
        has_encoding_ = true;
    } else if (same_word(name, "connection")) {
        read_connection(value);
    } else if (same_word(name, "expect")) {
        request_.awaits_body_ok = true;
    }
}

void RequestParser::read_length(std::string_view value) {
    // A second one could be believed by somebody else.
    if (has_length_ || value.empty()) return fail(status::bad_request);
    has_length_ = true;
    uint64_t length = 0;
    constexpr uint64_t most = uint64_t{1} << 56;
    for (const char c : value) {
        if (!is_digit(c)) return fail(status::bad_request);
        length = std::min(length * 10 + static_cast<uint64_t>(c - '0'), most);
    }
    request_.body_bytes = length;
}

void RequestParser::read_connection(std::string_view value) {
    for (;;) {
        const size_t comma = value.find(',');
        const std::string_view word = without_blanks(value.substr(0, comma));
        if (same_word(word, "close")) closes_ = true;
        if (same_word(word, "keep-alive")) asks_to_keep_ = true;
        if (comma == std::string_view::npos) return;
        value.remove_prefix(comma + 1);
    }
}

void RequestParser::end_header() {
    if (hosts_ > 1 || (hosts_ == 0 && !old_version_)) return fail(status::bad_request);
    if (has_encoding_) {
        // Two lengths, or one in a version that has none: somebody smuggles (RFC 9112, 6.1).
        const bool smuggles = has_length_ || old_version_;
        return fail(smuggles ? status::bad_request : status::not_implemented);
    }
    if (request_.body_bytes > body_max) return fail(status::body_too_large);
    // A body that is sent only when it was asked for may or may not come: what follows is unknown.
    const bool is_unsure = request_.awaits_body_ok && request_.body_bytes != 0;
    request_.keeps_alive = !closes_ && !is_unsure && (!old_version_ || asks_to_keep_);
    state_ = State::complete;
}

}  // namespace annulus::http
