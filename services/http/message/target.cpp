// SPDX-License-Identifier: MIT
// From what a request asks for to the path of a file.
#include "services/http/message/target.h"

#include <algorithm>

#include "runtime/path.h"
#include "services/http/message/request.h"

namespace annulus::http {
namespace {

// The value of a hexadecimal digit, or -1.
int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// Takes the next byte of `target`, decoded; -1 for a broken escape.
int take_byte(std::string_view& target, bool& escaped) {
    escaped = target.front() == '%';
    if (!escaped) {
        const auto byte = static_cast<unsigned char>(target.front());
        target.remove_prefix(1);
        return byte;
    }
    if (target.size() < 3) return -1;
    const int high = hex_value(target[1]);
    const int low = hex_value(target[2]);
    if (high < 0 || low < 0) return -1;
    target.remove_prefix(3);
    return high * 16 + low;
}

struct ContentType {
    std::string_view ending;
    std::string_view type;
};

constexpr ContentType content_types[] = {
    {".html", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".json", "application/json"},
    {".txt", "text/plain; charset=utf-8"},
    {".md", "text/plain; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".gif", "image/gif"},
    {".ico", "image/x-icon"},
    {".wasm", "application/wasm"},
    {".pdf", "application/pdf"},
};

}  // namespace

unsigned FilePath::decode(std::string_view target) {
    size_ = 0;
    if (!target.starts_with('/')) return status::bad_request;
    target.remove_prefix(1);
    while (!target.empty()) {
        bool escaped = false;
        const int byte = take_byte(target, escaped);
        if (byte < 0x20 || byte == 0x7f) return status::bad_request;
        // An escaped separator would be one after the checks that came before.
        if (byte == '/' && escaped) return status::bad_request;
        if (size_ == text_.size()) return status::not_found;
        text_[size_++] = static_cast<char>(byte);
    }
    names_folder_ = size_ == 0 || text_[size_ - 1] == '/';
    if (size_ == 1 && names_folder_) return status::not_found;  // an empty name
    if (size_ != 0 && names_folder_) size_--;
    std::string_view rest = text();
    while (!rest.empty()) {
        const PathParts parts = split_first(rest);
        if (parts.first == "." || parts.first == "..") return status::bad_request;
        rest = parts.rest;
    }
    return is_path(text()) ? 0 : status::not_found;
}

bool FilePath::append(std::string_view name) {
    const size_t separator = size_ == 0 ? 0 : 1;
    if (size_ + separator + name.size() > text_.size()) return false;
    if (separator != 0) text_[size_++] = '/';
    std::copy(name.begin(), name.end(), text_.begin() + static_cast<ptrdiff_t>(size_));
    size_ += name.size();
    return true;
}

std::string_view content_type_of(std::string_view path) {
    for (const ContentType& known : content_types) {
        if (path.ends_with(known.ending)) return known.type;
    }
    return "application/octet-stream";
}

}  // namespace annulus::http
