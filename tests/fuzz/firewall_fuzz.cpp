// SPDX-License-Identifier: MIT
// Fuzz target of the firewall: any rule file and any frames; what it accepts it accepts again.
#include "proxies/firewall/filter.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

namespace {

using namespace annulus::firewall;

void require(bool condition) {
    if (!condition) abort();
}

void fuzz_rules(std::string_view text) {
    const auto rules = std::make_unique<Rules>();
    const RuleError error = rules->read(text);
    require(error.ok() || (rules->all().empty() && error.line != 0 && error.column != 0));
    require(rules->read(text).line == error.line);
}

// Frames of up to 100 bytes, each led by its direction and size.
void fuzz_frames(std::span<const uint8_t> data) {
    const auto rules = std::make_unique<Rules>();
    require(rules->read("allow in tcp port 1-1000\nallow out udp\nallow out icmp").ok());
    const auto filter = std::make_unique<Filter>(rules->all());
    uint64_t now = 0;
    while (data.size() > 2) {
        const auto direction = data[0] % 2 == 0 ? Direction::in : Direction::out;
        now += data[0];
        const size_t length = std::min<size_t>(data[1], data.size() - 2);
        // An own heap block of the exact size, so that the sanitizer sees any access outside.
        const std::vector<uint8_t> frame(data.begin() + 2, data.begin() + 2 + long(length));
        const auto headers = std::span(frame).first(std::min(length, headers_max));
        const Verdict verdict = filter->decide(direction, headers, length, now);
        require(!passes(verdict) || length >= 14);
        if (verdict == Verdict::allowed) {
            require(filter->decide(direction, headers, length, now) == Verdict::allowed);
        }
        data = data.subspan(2 + length);
    }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
    if (size == 0) return 0;
    const std::span bytes(data + 1, size - 1);
    if (data[0] % 2 == 0) {
        // Safety: text and bytes have the same representation.
        fuzz_rules({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    } else {
        fuzz_frames(bytes);
    }
    return 0;
}
