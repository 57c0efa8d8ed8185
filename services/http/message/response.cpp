// SPDX-License-Identifier: MIT
// The heads of responses.
#include "services/http/message/response.h"

#include <algorithm>
#include <array>

#include "services/http/message/request.h"

namespace annulus::http {
namespace {

// Puts pieces together; what does not fit is dropped. Each response has one, and base/format.h goes
// byte by byte.
class HeadText {
public:
    explicit HeadText(std::span<char> space) : space_(space) {}

    // Of a literal the length is known when this is compiled.
    template <size_t size>
    HeadText& add(const char (&literal)[size]) {
        return add(std::string_view(literal, size - 1));
    }
    HeadText& add(std::string_view text) {
        const size_t count = std::min(text.size(), space_.size() - size_);
        std::copy_n(text.begin(), count, space_.begin() + static_cast<ptrdiff_t>(size_));
        size_ += count;
        return *this;
    }
    HeadText& add_number(uint64_t number) {
        std::array<char, 20> digits;
        size_t first = digits.size();
        do {
            digits[--first] = static_cast<char>('0' + number % 10);
            number /= 10;
        } while (number != 0);
        return add({digits.data() + first, digits.size() - first});
    }
    [[nodiscard]] std::string_view text() const { return {space_.data(), size_}; }

private:
    std::span<char> space_;
    size_t size_ = 0;
};

}  // namespace

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
    HeadText out(buffer);
    out.add("HTTP/1.1 ").add_number(head.status).add(" ").add(reason_of(head.status));
    out.add("\r\nServer: Annulus\r\nContent-Length: ").add_number(head.content_length);
    out.add("\r\nContent-Type: ").add(head.content_type);
    out.add("\r\nX-Content-Type-Options: nosniff\r\n");
    if (head.status == status::wrong_method) out.add("Allow: GET, HEAD\r\n");
    // The target's bytes are visible or escaped: they were checked as a request's.
    if (!head.location.empty()) out.add("Location: ").add(head.location).add("/\r\n");
    if (head.closes) {
        out.add("Connection: close\r\n\r\n");
    } else {
        out.add("Connection: keep-alive\r\n\r\n");
    }
    return out.text();
}

}  // namespace annulus::http
