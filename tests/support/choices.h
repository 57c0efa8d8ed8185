// SPDX-License-Identifier: MIT
// Choices: decisions read from bytes, so that a fuzzer can change one of them alone.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace annulus::test {

class Choices {
public:
    Choices(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}

    // No bytes are left: from here on every choice is 0.
    bool done() const { return at_ == end_; }
    uint8_t byte() { return done() ? 0 : *at_++; }
    // 0 to limit - 1; limit is at most 65536.
    unsigned below(unsigned limit) {
        unsigned value = byte();
        if (limit > 256) value = value << 8 | byte();
        return value % limit;
    }
    bool one_in(unsigned times) { return below(times) == times - 1; }
    uint64_t word() {
        uint64_t value = 0;
        for (unsigned i = 0; i < sizeof(value); ++i) value = value << 8 | byte();
        return value;
    }

private:
    const uint8_t* at_;
    const uint8_t* end_;
};

}  // namespace annulus::test
