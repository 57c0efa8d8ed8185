// SPDX-License-Identifier: MIT
// Buffers of one size in channel memory, and sets of their numbers: what the structures that lend
// buffers to the peer keep their books with.
#pragma once

#include "base/untrusted.h"
#include "channel/fault.h"
#include "channel/geometry.h"

#include <array>
#include <optional>

namespace annulus::channel {

// The most buffers of one kind: the ends keep a bit and a number for each.
inline constexpr uint32_t max_buffers = uint32_t{1} << max_buffers_log2;

// A set of buffer numbers below the maximum.
class NumberSet {
public:
    bool contains(uint32_t number) const { return (words_[number / 64] >> number % 64 & 1) != 0; }
    void insert(uint32_t number) { words_[number / 64] |= bit(number); }
    void remove(uint32_t number) { words_[number / 64] &= ~bit(number); }

private:
    static uint64_t bit(uint32_t number) { return uint64_t{1} << number % 64; }

    std::array<uint64_t, max_buffers / 64> words_ = {};
};

// `count` buffers of 2^size_log2 bytes, one behind the other.
struct Buffers {
    UntrustedBytes bytes;
    uint32_t count;
    uint8_t size_log2;

    // The buffers of a valid geometry, from `offset` of its memory on; nothing if they do not fit.
    static std::optional<Buffers> attach(UntrustedBytes memory, Geometry geometry,
                                         uint64_t offset) {
        const auto bytes = memory.subspan(offset, geometry.slots() * geometry.size());
        if (!bytes) return std::nullopt;
        return Buffers{*bytes, geometry.slots(), geometry.size_log2};
    }

    // The bytes of a buffer; number < count.
    UntrustedBytes of(uint32_t number) const {
        return bytes.subspan(uint64_t{number} << size_log2, size()).value();
    }
    // The same for a number of the program's own, which may be wrong.
    UntrustedBytes checked(uint32_t number) const {
        if (number >= count) [[unlikely]]
            misused();
        return of(number);
    }
    uint32_t size() const { return uint32_t{1} << size_log2; }
};

}  // namespace annulus::channel
