// SPDX-License-Identifier: MIT
// One connection of a client.
#include "services/http/session/session.h"

#include <algorithm>

#include "base/format.h"

namespace annulus::http {
namespace {

constexpr size_t head_max = 3072;

unsigned status_of(Error error) {
    switch (error) {
        case Error::not_found:
        case Error::wrong_type:
        case Error::bad_argument: return status::not_found;
        case Error::no_right:
        case Error::not_granted: return status::forbidden;
        case Error::server_died:
        case Error::timed_out:
        case Error::limit:
        case Error::no_budget:
        case Error::no_memory:
        case Error::no_room: return status::unavailable;
        default: return status::failed;
    }
}

std::span<char> as_text(std::span<std::byte> bytes) {
    // Safety: bytes may be written as characters.
    return {reinterpret_cast<char*>(bytes.data()), bytes.size()};
}

}  // namespace

void Session::run() {
    Next next = Next::go_on;
    while (next == Next::go_on) {
        next = serve_one();
        site_.close();
    }
    if (next == Next::finish) peer_.finish(peer_.now() + finish_time);
}

Session::Next Session::serve_one() {
    parser_.reset();
    Next next = Next::drop;
    if (!read_request(next)) return next;
    if (parser_.state() == RequestParser::State::failed) {
        return respond_failure(parser_.error());
    }
    const Request& request = parser_.request();
    next = respond(request);
    if (next != Next::go_on || request.body_bytes == 0) return next;
    return drop_body(request.body_bytes) ? Next::go_on : Next::drop;
}

// Until the request is complete or has failed. False: neither will happen, and `next` is set.
bool Session::read_request(Next& next) {
    // A new client is on its way with its request; one that was served may have no other.
    uint64_t deadline = peer_.now() + (served_ == 0 ? header_time : peer_.idle_time());
    bool begun = false;
    for (;;) {
        input_begin_ += parser_.feed(waiting());
        if (parser_.state() != RequestParser::State::reading) return true;
        if (parser_.begun() && !begun) {
            begun = true;
            deadline = peer_.now() + header_time;
        }
        const auto count = peer_.read(std::as_writable_bytes(std::span(input_)), deadline);
        if (!count.ok()) {
            const bool too_slow = peer_.now() >= deadline && begun;
            next = too_slow ? respond_failure(status::timed_out) : Next::drop;
            return false;
        }
        if (*count == 0) return false;
        input_begin_ = 0;
        input_size_ = std::min(*count, input_.size());
    }
}

Session::Next Session::respond(const Request& request) {
    const bool closes = !request.keeps_alive;
    if (request.method == Method::known) {
        return respond_status(status::wrong_method, true, closes);
    }
    if (request.method == Method::unknown) {
        return respond_status(status::not_implemented, true, closes);
    }
    const bool with_body = request.method == Method::get;
    FilePath path;
    Site::Found found;
    unsigned status = path.decode(parser_.target());
    if (status == 0) status = find(path, found);
    if (status == status::ok) return respond_file(request, path.text(), found.size);
    return respond_status(status, with_body, closes,
                          status == status::moved ? parser_.target() : std::string_view());
}

// Opens what `path` names, in a folder its index. ok, or the status to answer.
unsigned Session::find(FilePath& path, Site::Found& found) {
    if (path.names_folder() && !path.append(index_name)) return status::not_found;
    const auto opened = site_.open(path.text());
    if (!opened.ok()) return status_of(opened.error());
    found = *opened;
    if (!found.is_folder) return status::ok;
    // Relative links of a folder's index work only below a name that ends with '/'.
    return path.names_folder() ? status::not_found : status::moved;
}

Session::Next Session::respond_file(const Request& request, std::string_view path, uint64_t size) {
    const ResponseHead head = {.status = status::ok,
                               .content_type = content_type_of(path),
                               .content_length = size,
                               .closes = !request.keeps_alive,
                               .location = {}};
    const std::string_view text = format_head(as_text(std::span(output_).first(head_max)), head);
    if (!send(text, request.method == Method::get ? size : 0)) return Next::drop;
    served_++;
    return request.keeps_alive ? Next::go_on : Next::finish;
}

// For a request that never became complete.
Session::Next Session::respond_failure(unsigned status) {
    return respond_status(status, parser_.request().method != Method::head, true);
}

Session::Next Session::respond_status(unsigned status, bool with_body, bool closes,
                                      std::string_view location) {
    char body[96];
    const std::string_view text =
        format(std::span<char>(body), "{} {}\n", status, reason_of(status));
    const ResponseHead head = {.status = status,
                               .content_type = "text/plain; charset=utf-8",
                               .content_length = text.size(),
                               .closes = closes,
                               .location = location};
    const auto begin = as_text(output_);
    size_t size = format_head(begin.first(head_max), head).size();
    if (with_body) {
        std::copy(text.begin(), text.end(), begin.begin() + static_cast<ptrdiff_t>(size));
        size += text.size();
    }
    if (!write(std::span(output_).first(size))) return Next::drop;
    served_++;
    return closes ? Next::finish : Next::go_on;
}

// Writes the head, which lies at the begin of the output buffer, and `size` bytes of the open file.
// False: it did not come to its end, so the connection cannot be used any more.
bool Session::send(std::string_view head, uint64_t size) {
    size_t filled = head.size();
    if (const auto bytes = site_.contents(); size != 0 && !bytes.empty()) {
        return send_contents(filled, bytes);
    }
    if (size != 0 && peer_.takes_in_place(size)) return send_in_place(head, size);
    uint64_t offset = 0;
    while (offset < size) {
        const auto room = std::span(output_).subspan(filled);
        const auto part =
            room.first(static_cast<size_t>(std::min<uint64_t>(room.size(), size - offset)));
        const auto count = site_.read(offset, part);
        // A file that became shorter cannot fill the length that was promised.
        if (!count.ok() || *count == 0 || *count > part.size()) return false;
        offset += *count;
        if (!write(std::span(output_).first(filled + *count))) return false;
        filled = 0;
    }
    return filled == 0 || write(std::span(output_).first(filled));
}

// The same for bytes that are at hand: those that fit go with the head.
bool Session::send_contents(size_t head, std::span<const std::byte> bytes) {
    const size_t first = std::min(output_.size() - head, bytes.size());
    std::copy_n(bytes.begin(), first, output_.begin() + static_cast<ptrdiff_t>(head));
    if (!write(std::span(output_).first(head + first))) return false;
    bytes = bytes.subspan(first);
    while (!bytes.empty()) {
        const size_t part = std::min(output_.size(), bytes.size());
        if (!write(bytes.first(part))) return false;
        bytes = bytes.subspan(part);
    }
    return true;
}

// The bytes through memory that the peer gives.
bool Session::send_in_place(std::string_view head, uint64_t size) {
    if (!write(std::as_bytes(std::span(head)))) return false;
    for (uint64_t offset = 0; offset < size;) {
        const auto place = peer_.place(peer_.now() + write_time);
        if (!place.ok()) return false;
        const auto part =
            place->first(static_cast<size_t>(std::min<uint64_t>(place->size(), size - offset)));
        const auto count = site_.read(offset, part);
        if (!count.ok() || *count == 0 || *count > part.size()) return false;
        offset += *count;
        peer_.put(*count);
    }
    return true;
}

bool Session::drop_body(uint64_t bytes) {
    const uint64_t deadline = peer_.now() + header_time;
    for (;;) {
        const auto here = static_cast<size_t>(std::min<uint64_t>(bytes, waiting().size()));
        input_begin_ += here;
        bytes -= here;
        if (bytes == 0) return true;
        const auto count = peer_.read(std::as_writable_bytes(std::span(input_)), deadline);
        if (!count.ok() || *count == 0) return false;
        input_begin_ = 0;
        input_size_ = std::min(*count, input_.size());
    }
}

bool Session::write(std::span<const std::byte> bytes) {
    return peer_.write(bytes, peer_.now() + write_time).ok();
}

}  // namespace annulus::http
