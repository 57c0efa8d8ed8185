// SPDX-License-Identifier: MIT
// The heads of responses.
#include "services/http/message/response.h"

#include "base/format.h"
#include "services/http/message/request.h"

namespace annulus::http {

std::string_view reason_of(unsigned status) {
    switch (status) {
        case status::ok: return "OK";
        case status::moved: return "Moved Permanently";
        case status::bad_request: return "Bad Request";
        case status::forbidden: return "Forbidden";
        case status::not_found: return "Not Found";
        case status::wrong_method: return "Method Not Allowed";
        case status::timed_out: return "Request Timeout";
        case status::body_too_large: return "Content Too Large";
        case status::target_too_long: return "URI Too Long";
        case status::header_too_large: return "Request Header Fields Too Large";
        case status::not_implemented: return "Not Implemented";
        case status::unavailable: return "Service Unavailable";
        case status::wrong_version: return "HTTP Version Not Supported";
        default: return "Internal Server Error";
    }
}

std::string_view format_head(std::span<char> buffer, const ResponseHead& head) {
    TextBuffer out(buffer);
    format_to(out, "HTTP/1.1 {} {}\r\nServer: Annulus\r\n", head.status, reason_of(head.status));
    format_to(out, "Content-Length: {}\r\nContent-Type: {}\r\nX-Content-Type-Options: nosniff\r\n",
              head.content_length, head.content_type);
    if (head.status == status::wrong_method) out.append("Allow: GET, HEAD\r\n");
    // The target's bytes are visible or escaped: they were checked as a request's.
    if (!head.location.empty()) format_to(out, "Location: {}/\r\n", head.location);
    out.append(head.closes ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n");
    return out.text();
}

}  // namespace annulus::http
