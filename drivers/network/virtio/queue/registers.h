// SPDX-License-Identifier: MIT
// Where a virtio device's registers lie: its PCI capabilities (virtio 1.2, 4.1.4).
#pragma once

#include <stdint.h>

#include <cstddef>
#include <optional>
#include <span>

namespace annulus::virtio {

// A structure within a BAR.
struct RegisterArea {
    uint8_t bar = 0;
    uint32_t offset = 0;
    uint32_t length = 0;  // 0: there is none
};

struct RegisterAreas {
    RegisterArea common;
    RegisterArea notify;
    RegisterArea device;
    uint32_t notify_multiplier = 0;
};

// Finds them in the first 256 bytes of a configuration space, which are not trusted. Nothing if one
// is missing or too short for what this driver uses.
std::optional<RegisterAreas> find_registers(std::span<const std::byte> config);

// Offsets in the common structure (4.1.4.3).
namespace common {
inline constexpr uint32_t device_feature_select = 0;
inline constexpr uint32_t device_feature = 4;
inline constexpr uint32_t driver_feature_select = 8;
inline constexpr uint32_t driver_feature = 12;
inline constexpr uint32_t config_vector = 16;
inline constexpr uint32_t status = 20;
inline constexpr uint32_t queue_select = 22;
inline constexpr uint32_t queue_size = 24;
inline constexpr uint32_t queue_vector = 26;
inline constexpr uint32_t queue_enable = 28;
inline constexpr uint32_t queue_notify_offset = 30;
inline constexpr uint32_t queue_descriptors = 32;
inline constexpr uint32_t queue_available = 40;
inline constexpr uint32_t queue_used = 48;
inline constexpr uint32_t length = 56;
}  // namespace common

// Offsets in the network device's structure (5.1.4).
namespace network {
inline constexpr uint32_t address = 0;
inline constexpr uint32_t status = 6;
inline constexpr uint32_t length = 8;
inline constexpr uint16_t status_link_up = 1;
}  // namespace network

}  // namespace annulus::virtio
