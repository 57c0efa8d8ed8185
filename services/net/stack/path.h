// SPDX-License-Identifier: MIT
// Paths of sockets, such as "tcp/connect/example.org/80". Policy-free: hostile text in.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <optional>
#include <string_view>

namespace annulus::net {

inline constexpr size_t path_max = 192;       // bytes of a whole path
inline constexpr size_t host_name_max = 127;  // of a host's name

enum class PathKind : uint8_t {
    malformed,
    prefix,  // the beginning of a path: nothing to open yet
    tcp_listen,
    tcp_connect,
    udp_bind,
    udp_connect,
};

struct SocketPath {
    PathKind kind = PathKind::malformed;
    uint16_t port = 0;
    std::string_view host;  // of the connecting kinds: an address or a name, part of the text
};

// What `path` means. Components are separated by one '/' each; there is none at either end.
[[nodiscard]] SocketPath parse_path(std::string_view path);

// "10.0.2.15" as a number; nothing if it is not exactly that form.
[[nodiscard]] std::optional<uint32_t> parse_address(std::string_view text);

// A path that was put together from what an object stands for and what a client asks for.
class JoinedPath {
public:
    JoinedPath() = default;

    // False, and nothing appended, if the result would be longer than path_max.
    [[nodiscard]] bool append(std::string_view more);
    [[nodiscard]] std::string_view text() const { return {text_.data(), length_}; }

private:
    std::array<char, path_max> text_{};
    size_t length_ = 0;
};

}  // namespace annulus::net
