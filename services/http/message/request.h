// SPDX-License-Identifier: MIT
// Requests of HTTP/1.1 (RFC 9112): bytes become a checked request or an error status. Policy-free.
//
// Strict where leniency would let two readers see two different requests: lines end with CR LF, no
// line is folded, no blank stands before a colon, lengths are plain numbers that come once.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <string_view>

namespace annulus::http {

// Limits of one request.
inline constexpr size_t target_max = 2048;  // bytes; beyond is 414
inline constexpr size_t header_line_max = 4096;
inline constexpr size_t header_bytes_max = 8192;  // all lines together; beyond is 431
inline constexpr unsigned header_count_max = 64;
inline constexpr uint64_t body_max = 16384;  // of a body that is read and dropped; beyond is 413

// Statuses that the server answers.
namespace status {
inline constexpr unsigned ok = 200;
inline constexpr unsigned moved = 301;
inline constexpr unsigned bad_request = 400;
inline constexpr unsigned forbidden = 403;
inline constexpr unsigned not_found = 404;
inline constexpr unsigned wrong_method = 405;
inline constexpr unsigned timed_out = 408;
inline constexpr unsigned body_too_large = 413;
inline constexpr unsigned target_too_long = 414;
inline constexpr unsigned header_too_large = 431;
inline constexpr unsigned failed = 500;
inline constexpr unsigned not_implemented = 501;
inline constexpr unsigned unavailable = 503;
inline constexpr unsigned wrong_version = 505;
}  // namespace status

enum class Method : uint8_t {
    get,
    head,
    known,    // another of RFC 9110: 405
    unknown,  // 501
};

struct Request {
    Method method = Method::unknown;
    bool keeps_alive = false;     // the connection may be used again
    bool awaits_body_ok = false;  // the body comes only after a 100
    uint64_t body_bytes = 0;
};

class RequestParser {
public:
    enum class State : uint8_t { reading, complete, failed };

    RequestParser() { reset(); }

    // Ready for the next request.
    void reset();

    // Takes bytes up to the end of the request's header; answers how many. All of them unless the
    // request is complete or has failed.
    size_t feed(std::string_view bytes);

    [[nodiscard]] State state() const { return state_; }
    // Whether a byte of a request was taken, beyond empty lines before it.
    [[nodiscard]] bool begun() const { return begun_; }
    // Of a failed request: the status to answer. The bytes that follow mean nothing.
    [[nodiscard]] unsigned error() const { return error_; }
    // Of a complete request; before that, and of a failed one, only the method, once it was read.
    [[nodiscard]] const Request& request() const { return request_; }
    // What is asked for: begins with '/', without host, query or control bytes.
    [[nodiscard]] std::string_view target() const { return {target_.data(), target_size_}; }

private:
    void take(char byte);
    size_t take_plain(std::string_view bytes);
    void fail(unsigned status);
    void end_line(std::string_view line);
    void read_request_line(std::string_view line);
    void read_version(std::string_view version);
    void read_target(std::string_view target);
    void read_header(std::string_view line);
    void read_length(std::string_view value);
    void read_connection(std::string_view value);
    void end_header();

    State state_;
    bool begun_;
    bool in_header_;    // behind the request line
    bool old_version_;  // HTTP/1.0
    bool closes_;
    bool asks_to_keep_;
    bool has_length_;
    bool has_encoding_;
    unsigned hosts_;
    unsigned empty_lines_;
    unsigned headers_;
    unsigned error_;
    size_t bytes_;
    size_t line_size_;
    size_t target_size_;
    Request request_;
    std::array<char, header_line_max> line_;
    std::array<char, target_max> target_;
};

}  // namespace annulus::http
