// SPDX-License-Identifier: MIT
// Where Ethernet frames go: a driver's packet queue, or a test. Policy-free.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <cstddef>
#include <span>

namespace annulus::net {

inline constexpr size_t frame_header_bytes = 14;
inline constexpr size_t frame_bytes_max = 1514;

using HardwareAddress = std::array<uint8_t, 6>;

using FramePart = std::span<const std::byte>;
inline constexpr size_t frame_parts_max = 8;

class PacketLink {
public:
    // Sends the frame that `parts` make up, at most frame_bytes_max bytes. False: there is no room
    // now.
    virtual bool send(std::span<const FramePart> parts) = 0;

protected:
    ~PacketLink() = default;
};

}  // namespace annulus::net
