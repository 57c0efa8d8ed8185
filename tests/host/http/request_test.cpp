// SPDX-License-Identifier: MIT
// Tests of the request parser: limits, and malformed requests one by one.
#include "services/http/message/request.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

namespace annulus::http {
namespace {

unsigned outcome_of(const std::string& text) {
    RequestParser parser;
    static_cast<void>(parser.feed(text));
    switch (parser.state()) {
        case RequestParser::State::reading: return 0;
        case RequestParser::State::complete: return status::ok;
        default: return parser.error();
    }
}

std::string with(const std::string& headers) {
    return "GET / HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n";
}

TEST(request_parser, sound_requests_are_complete_at_their_last_byte) {
    const std::string text = with("Accept: */*\r\nX-Tab:\t a\tb \r\nEmpty:\r\n");
    RequestParser parser;
    EXPECT_EQ(parser.feed(text + "GET"), text.size());
    EXPECT_EQ(parser.state(), RequestParser::State::complete);
    EXPECT_EQ(parser.target(), "/");
    EXPECT_TRUE(parser.request().keeps_alive);
    parser.reset();
    EXPECT_EQ(outcome_of("\r\n\r\n" + text), status::ok);
    EXPECT_EQ(outcome_of(text.substr(0, text.size() - 1)), 0u);
}

TEST(request_parser, malformed_lines_are_refused) {
    for (const std::string& text : {
             std::string("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n"),
             std::string("GET /\r\n"),
             std::string("GET / HTTP/1.1\n"),
             std::string("GET  / HTTP/1.1\r\n"),
             std::string(" GET / HTTP/1.1\r\n"),
             std::string("GET / HTTP/1.1 \r\n"),
             std::string("GET / http/1.1\r\n"),
             std::string("GET / HTTP/1\r\n"),
             std::string("GET / HTTP/1.10\r\n"),
             std::string("GET / HTTP/11\r\n"),
             std::string("GET /\tx HTTP/1.1\r\n"),
             std::string("G(T / HTTP/1.1\r\n"),
             std::string("GET x HTTP/1.1\r\n"),
             std::string("GET /#f HTTP/1.1\r\n"),
             std::string("\x16\x03\x01"),
             std::string("GET / HTTP/1.1\r\r\n"),
             std::string("GET /\0x HTTP/1.1\r\n", 18),
             with(" folded: x\r\n"),
             with("a: b\r\n c\r\n"),
             with("a : b\r\n"),
             with("a\r\n"),
             with(": b\r\n"),
             with("a: b\rc\r\n"),
             with("a: b\nc: d\r\n"),
             with("a: \x01\r\n"),
             with("Host: i\r\n"),
             std::string("GET / HTTP/1.1\r\n\r\n"),
             std::string("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
             with("Content-Length: 1\r\nContent-Length: 1\r\n"),
             with("Content-Length: +1\r\n"),
             with("Content-Length: -1\r\n"),
             with("Content-Length: 1,1\r\n"),
             with("Content-Length: 0x10\r\n"),
             with("Content-Length:\r\n"),
             with("Content-Length: 1 1\r\n"),
             with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
             std::string("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
         }) {
        EXPECT_EQ(outcome_of(text), status::bad_request) << testing::PrintToString(text);
    }
}

TEST(request_parser, empty_lines_before_a_request_are_counted) {
    // empty_lines_max, and empty_lines_max + 1.
    EXPECT_EQ(outcome_of("\r\n\r\n\r\n\r\n" + with("")), status::ok);
    EXPECT_EQ(outcome_of("\r\n\r\n\r\n\r\n\r\n" + with("")), status::bad_request);
}

TEST(request_parser, what_is_not_offered_is_said) {
    EXPECT_EQ(outcome_of("GET / HTTP/2.0\r\n"), status::wrong_version);
    EXPECT_EQ(outcome_of("GET / HTTP/0.9\r\n"), status::wrong_version);
    EXPECT_EQ(outcome_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), status::wrong_version);
    EXPECT_EQ(outcome_of(with("Transfer-Encoding: chunked\r\n")), status::not_implemented);
}

TEST(request_parser, every_byte_means_the_same_alone_and_among_others) {
    // Taken eight at a time, wherever it stands among them, and one by one.
    for (unsigned value = 0; value < 256; value++) {
        for (size_t place = 0; place < 17; place++) {
            std::string text = with("Name: value-of-twenty-bytes\r\n");
            text[text.find("value") + place] = static_cast<char>(value);
            RequestParser whole;
            RequestParser single;
            size_t taken = 0;
            for (const char c : text) taken += single.feed({&c, 1});
            EXPECT_EQ(whole.feed(text), taken) << value << " at " << place;
            EXPECT_EQ(whole.state(), single.state()) << value << " at " << place;
            EXPECT_EQ(whole.error(), single.error()) << value << " at " << place;
            const bool is_control = (value < 0x20 && value != '\t') || value == 0x7f;
            EXPECT_EQ(whole.error(), is_control ? status::bad_request : 0) << value;
        }
    }
}

TEST(request_parser, each_limit_holds_at_it_and_fails_one_above) {
    const auto line = [](size_t target) {
        return "GET /" + std::string(target - 1, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n";
    };
    EXPECT_EQ(outcome_of(line(target_max)), status::ok);
    EXPECT_EQ(outcome_of(line(target_max + 1)), status::target_too_long);
    EXPECT_EQ(outcome_of(std::string(100'000, 'a')), status::target_too_long);
    std::string headers;  // with Host header_count_max lines; then header_count_max + 1
    for (unsigned i = 1; i < header_count_max; i++) headers += "a: b\r\n";
    EXPECT_EQ(outcome_of(with(headers)), status::ok);
    EXPECT_EQ(outcome_of(with(headers + "a: b\r\n")), status::header_too_large);
    // With "a: " and the carriage return header_line_max bytes; then header_line_max + 1.
    EXPECT_EQ(outcome_of(with("a: " + std::string(header_line_max - 4, 'b') + "\r\n")), status::ok);
    EXPECT_EQ(outcome_of(with("a: " + std::string(header_line_max - 3, 'b') + "\r\n")),
              status::header_too_large);
    const auto all_bytes = [](size_t bytes) {
        std::string text = "GET / HTTP/1.1\r\nHost: h\r\n";
        text += "a: " + std::string(header_line_max - 4, 'b') + "\r\n";
        return text + "a: " + std::string(bytes - text.size() - 7, 'b') + "\r\n\r\n";
    };
    // Line feeds do not count, so the sum is found here.
    const auto counted = [](const std::string& text) {
        return text.size() - static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
    };
    const std::string most = all_bytes(header_bytes_max + 5);
    EXPECT_EQ(counted(most), header_bytes_max);
    EXPECT_EQ(outcome_of(most), status::ok);
    const std::string above = all_bytes(header_bytes_max + 6);
    EXPECT_EQ(counted(above), header_bytes_max + 1);
    EXPECT_EQ(outcome_of(above), status::header_too_large);
    const std::string two_lines = "a: " + std::string(4000, 'b') + "\r\n";
    EXPECT_EQ(outcome_of(with(two_lines + two_lines)), status::ok);
    EXPECT_EQ(outcome_of(with(two_lines + two_lines + two_lines)), status::header_too_large);
    EXPECT_EQ(outcome_of(with("Content-Length: " + std::to_string(body_max) + "\r\n")), status::ok);
    EXPECT_EQ(outcome_of(with("Content-Length: " + std::to_string(body_max + 1) + "\r\n")),
              status::body_too_large);
    EXPECT_EQ(outcome_of(with("Content-Length: 99999999999999999999999999\r\n")),
              status::body_too_large);
}

}  // namespace
}  // namespace annulus::http
