// SPDX-License-Identifier: MIT
// Fuzz target of the web server: any bytes give the same responses however they are cut, and no
// path is asked for that leads elsewhere.
#include <cstdlib>

#include "runtime/path.h"
#include "tests/host/http/fake_site.h"

namespace {

using namespace annulus;
using namespace annulus::http;
using namespace annulus::http::test;

void require(bool condition) {
    if (!condition) abort();
}

class StrictSite final : public Site {
public:
    Result<Found> open(std::string_view path) override {
        require(is_path(path) && !path.empty());
        if (path.size() % 3 == 0) return Found{true, 0};
        if (path.size() % 3 == 1) return Found{false, path.size()};
        return Error::not_found;
    }
    Result<size_t> read(uint64_t, std::span<std::byte> space) override {
        for (std::byte& byte : space) byte = std::byte{'.'};
        return space.size();
    }
    void close() override {}
};

std::string run(const std::string& text, size_t step) {
    StrictSite site;
    FakePeer peer;
    for (size_t at = 0; at < text.size(); at += step) peer.says.push_back(text.substr(at, step));
    Session session(peer, site);
    session.run();
    return peer.heard;
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
    const std::string text(data, data + size);
    const std::string whole = run(text, SIZE_MAX / 2);
    require(whole.empty() || whole.starts_with("HTTP/1.1 "));
    require(run(text, 1) == whole);
    require(run(text, 13) == whole);
    return 0;
}
