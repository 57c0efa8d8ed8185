// SPDX-License-Identifier: MIT
// Fuzz target of socket paths: what is accepted is exactly what it says it is.
#include "services/net/stack/path.h"

#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace annulus::net;

void require(bool condition) {
    if (!condition) abort();
}

// The only text that means this path.
std::string canonical(const SocketPath& path) {
    const std::string end = "/" + std::to_string(path.port);
    switch (path.kind) {
        case PathKind::tcp_listen: return "tcp/listen" + end;
        case PathKind::tcp_connect: return "tcp/connect/" + std::string(path.host) + end;
        case PathKind::udp_bind: return "udp/bind" + end;
        case PathKind::udp_connect: return "udp/connect/" + std::string(path.host) + end;
        default: return "";
    }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
    const std::vector<char> copy(data, data + size);
    const std::string_view text(copy.data(), copy.size());
    const SocketPath path = parse_path(text);
    if (path.kind != PathKind::malformed && path.kind != PathKind::prefix) {
        require(canonical(path) == text);
    }
    if (path.kind == PathKind::prefix)
        require(parse_path(std::string(text) + "/").kind == PathKind::malformed);
    JoinedPath joined;
    if (joined.append(text)) require(joined.text() == text);
    return 0;
}
