// SPDX-License-Identifier: MIT
// A virtio device's PCI capabilities.
#include "drivers/network/virtio/queue/registers.h"

#include "base/align.h"

namespace annulus::virtio {

namespace {

using Bytes = std::span<const std::byte>;

constexpr size_t header_size = 256;  // of the space that holds capabilities
constexpr size_t status_at = 6, first_at = 0x34, first_capability = 0x40;
constexpr unsigned has_capabilities = 1u << 4;
constexpr unsigned capability_vendor = 9, capability_size = 16, notify_size = 20;
constexpr unsigned capabilities_max = (header_size - first_capability) / 4;
constexpr unsigned bars = 6;

// Kinds of structures (4.1.4).
constexpr unsigned kind_common = 1, kind_notify = 2, kind_device = 4;

unsigned byte_at(Bytes config, size_t at) { return static_cast<unsigned>(config[at]); }

uint32_t word_at(Bytes config, size_t at) {
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) value |= byte_at(config, at + i) << 8 * i;
    return value;
}

// Takes the first structure of a kind: the device prefers it (4.1.4.1).
void take(RegisterArea& area, Bytes config, size_t at) {
    if (area.length != 0 || byte_at(config, at + 4) >= bars) return;
    const uint32_t offset = word_at(config, at + 8);
    const uint32_t length = word_at(config, at + 12);
    if (!is_aligned(offset, 4u) || length > ~uint32_t{0} - offset) return;
    area = {static_cast<uint8_t>(byte_at(config, at + 4)), offset, length};
}

}  // namespace

std::optional<RegisterAreas> find_registers(Bytes config) {
    RegisterAreas found;
    if (config.size() < header_size) return std::nullopt;
    if ((byte_at(config, status_at) & has_capabilities) == 0) return std::nullopt;
    size_t at = byte_at(config, first_at) & 0xfc;
    // Longer lists go round in circles.
    for (unsigned i = 0; i < capabilities_max && at >= first_capability; ++i) {
        const bool fits = at + notify_size <= header_size;
        if (fits && byte_at(config, at) == capability_vendor &&
            byte_at(config, at + 2) >= capability_size) {
            switch (byte_at(config, at + 3)) {
                case kind_common: take(found.common, config, at); break;
                case kind_device: take(found.device, config, at); break;
                case kind_notify:
                    if (byte_at(config, at + 2) < notify_size || found.notify.length != 0) break;
                    take(found.notify, config, at);
                    found.notify_multiplier = word_at(config, at + capability_size);
                    break;
                default: break;
            }
        }
        at = byte_at(config, at + 1) & 0xfc;
    }
    if (found.common.length < common::length || found.notify.length < 2 ||
        found.device.length < network::length) {
        return std::nullopt;
    }
    return found;
}

}  // namespace annulus::virtio
