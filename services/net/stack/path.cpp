// SPDX-License-Identifier: MIT
// Paths of sockets.
#include "services/net/stack/path.h"

#include <algorithm>

namespace annulus::net {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A decimal number without leading zeros, at most `most`.
std::optional<uint32_t> parse_decimal(std::string_view text, uint32_t most) {
    constexpr size_t digits_max = 5;
    if (text.empty() || text.size() > digits_max) return {};
    if (text[0] == '0' && text.size() > 1) return {};
    uint32_t value = 0;
    for (const char c : text) {
        if (!is_digit(c)) return {};
        value = value * 10 + static_cast<uint32_t>(c - '0');
    }
    if (value > most) return {};
    return value;
}

// Takes the text before the next separator; `rest` is what follows it. False: there is none left.
bool take_part(std::string_view& rest, char separator, std::string_view& part) {
    if (rest.data() == nullptr) return false;
    const size_t at = rest.find(separator);
    part = rest.substr(0, at);
    rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + 1);
    return true;
}

bool is_host_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '.';
}

// An address, or labels of letters, digits and hyphens (RFC 1123, 2.1).
bool is_host(std::string_view host) {
    if (host.empty() || host.size() > host_name_max) return false;
    if (!std::all_of(host.begin(), host.end(), is_host_byte)) return false;
    std::string_view rest = host;
    std::string_view label;
    constexpr size_t label_max = 63;
    bool all_digits = true;
    while (take_part(rest, '.', label)) {
        if (label.empty() || label.size() > label_max) return false;
        if (label.front() == '-' || label.back() == '-') return false;
        all_digits = std::all_of(label.begin(), label.end(), is_digit);
    }
    // A last label of digits alone is no name's: then it must be an address.
    return !all_digits || parse_address(host).has_value();
}

constexpr size_t parts_max = 4;

struct Rule {
    std::string_view protocol;
    std::string_view action;
    PathKind kind;
    size_t parts;
};

constexpr Rule rules[] = {
    {"tcp", "listen", PathKind::tcp_listen, 3},
    {"tcp", "connect", PathKind::tcp_connect, 4},
    {"udp", "bind", PathKind::udp_bind, 3},
    {"udp", "connect", PathKind::udp_connect, 4},
};

SocketPath apply(const Rule& rule, const std::string_view* parts, size_t count) {
    SocketPath path;
    if (count > rule.parts) return path;
    const bool connects = rule.parts == 4;
    if (connects && count > 2) {
        if (!is_host(parts[2])) return path;
        path.host = parts[2];
    }
    if (count < rule.parts) {
        path.kind = PathKind::prefix;
        return path;
    }
    constexpr uint32_t port_max = 65535;
    const auto port = parse_decimal(parts[count - 1], port_max);
    if (!port.has_value()) return path;
    if (*port == 0 && rule.kind != PathKind::udp_bind) return path;
    path.port = static_cast<uint16_t>(*port);
    path.kind = rule.kind;
    return path;
}

}  // namespace

SocketPath parse_path(std::string_view path) {
    std::string_view parts[parts_max];
    size_t count = 0;
    std::string_view rest = path;
    std::string_view part;
    while (take_part(rest, '/', part)) {
        if (count == parts_max || part.empty()) return {};
        parts[count++] = part;
    }
    if (count == 0) return {};
    for (const Rule& rule : rules) {
        if (parts[0] != rule.protocol) continue;
        if (count == 1) return {PathKind::prefix, 0, {}};
        if (parts[1] == rule.action) return apply(rule, parts, count);
    }
    return {};
}

std::optional<uint32_t> parse_address(std::string_view text) {
    uint32_t address = 0;
    std::string_view rest = text;
    std::string_view part;
    unsigned count = 0;
    while (take_part(rest, '.', part)) {
        const auto number = parse_decimal(part, 255);
        if (!number.has_value() || ++count > 4) return {};
        address = address << 8 | *number;
    }
    if (count != 4) return {};
    return address;
}

bool JoinedPath::append(std::string_view more) {
    const bool separate = length_ != 0 && !more.empty();
    if (more.size() > path_max || length_ + separate + more.size() > path_max) return false;
    if (separate) text_[length_++] = '/';
    std::copy(more.begin(), more.end(), text_.begin() + static_cast<ptrdiff_t>(length_));
    length_ += more.size();
    return true;
}

}  // namespace annulus::net
