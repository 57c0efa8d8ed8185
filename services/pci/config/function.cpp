// SPDX-License-Identifier: MIT
// Reading configuration spaces.
#include "services/pci/config/function.h"

namespace annulus::pci {

namespace {

// Registers, PCI 3.0, 6.1 and 6.2.
constexpr uint32_t id_register = 0x00, command_register = 0x04, status_register = 0x06;
constexpr uint32_t class_register = 0x08, header_register = 0x0e, bar_register = 0x10;
constexpr uint32_t bridge_bus_register = 0x19, subsystem_register = 0x2c;
constexpr uint32_t capabilities_register = 0x34;

constexpr uint16_t command_ports = 1;
constexpr uint16_t status_has_capabilities = 1u << 4;
constexpr uint8_t header_type_mask = 0x7f, header_bridge = 1, header_siblings = 0x80;

constexpr uint8_t capability_express = 0x10, capability_messages = 0x11, capability_advanced = 0x13;
// They lie above the header, 4 bytes apart, within 256 bytes.
constexpr uint32_t first_capability = 0x40, capabilities_max = (256 - first_capability) / 4;

constexpr uint64_t page_size = 4096;
// Larger ones would not fit any processor's addresses.
constexpr uint64_t bar_size_max = uint64_t{1} << 46;

bool is_power_of_two(uint64_t number) { return number != 0 && (number & (number - 1)) == 0; }

// The register's writable bits, with what it held restored.
uint32_t probe(ConfigSpace& space, uint32_t at, uint32_t held) {
    space.write(at, 4, ~uint32_t{0});
    const uint32_t answer = space.read(at, 4);
    space.write(at, 4, held);
    return answer;
}

Bar port_bar(ConfigSpace& space, uint32_t at, uint32_t held) {
    // Upper halves may read as zero: there are 64 Ki ports.
    const uint32_t mask = (probe(space, at, held) & ~uint32_t{3}) | 0xffff0000;
    const uint32_t size = ~mask + 1;
    if (!is_power_of_two(size)) return {};
    return {Bar::Kind::ports, held & ~uint32_t{3}, size};
}

// Reads the registers from index `index` on; returns how many it took, 1 or 2.
unsigned read_bar(ConfigSpace& space, unsigned index, unsigned count, Bar& bar) {
    const uint32_t at = bar_register + 4 * index;
    const uint32_t held = space.read(at, 4);
    if ((held & 1) != 0) {
        bar = port_bar(space, at, held);
        return 1;
    }
    const bool wide = (held >> 1 & 3) == 2;
    if (wide && index + 1 == count) return 1;
    uint64_t mask = probe(space, at, held) & ~uint32_t{15};
    uint64_t address = held & ~uint32_t{15};
    if (wide) {
        const uint32_t upper = space.read(at + 4, 4);
        mask |= uint64_t{probe(space, at + 4, upper)} << 32;
        address |= uint64_t{upper} << 32;
    } else if (mask != 0) {
        mask |= uint64_t{0xffffffff} << 32;
    }
    const uint64_t size = ~mask + 1;
    const bool sound = mask != 0 && is_power_of_two(size) && size <= bar_size_max &&
                       address % size == 0 && address <= ~uint64_t{0} - size;
    if (sound) bar = {Bar::Kind::memory, address, size};
    return wide ? 2 : 1;
}

void read_bars(ConfigSpace& space, Function& function) {
    const auto command = static_cast<uint16_t>(space.read(command_register, 2));
    const uint16_t off = command_ports | command_memory | command_dma;
    space.write(command_register, 2, command & ~off);
    const unsigned count = function.is_bridge ? 2 : bars_max;
    for (unsigned i = 0; i < count;) i += read_bar(space, i, count, function.bars[i]);
    const uint16_t lost = function.is_bridge ? 0 : command_dma;
    space.write(command_register, 2, command & ~lost);
}

// True if [offset, offset + length) lies within the function's memory BAR.
bool lies_in_bar(const Function& function, unsigned bar, uint64_t offset, uint64_t length) {
    if (bar >= bars_max || function.bars[bar].kind != Bar::Kind::memory) return false;
    const uint64_t size = function.bars[bar].size;
    return offset <= size && length <= size - offset;
}

void read_messages(ConfigSpace& space, Function& function) {
    const uint32_t at = find_capability(space, capability_messages);
    if (at == 0) return;
    MessageTable found;
    found.capability = static_cast<uint16_t>(at);
    found.entries = static_cast<uint16_t>((space.read(at + 2, 2) & 0x7ff) + 1);
    const uint32_t table = space.read(at + 4, 4);
    const uint32_t pending = space.read(at + 8, 4);
    found.table_bar = table & 7;
    found.table_offset = table & ~uint32_t{7};
    found.pending_bar = pending & 7;
    found.pending_offset = pending & ~uint32_t{7};
    const uint64_t pending_size = (uint64_t{found.entries} + 63) / 64 * 8;
    if (lies_in_bar(function, found.table_bar, found.table_offset,
                    uint64_t{found.entries} * message_entry_size) &&
        lies_in_bar(function, found.pending_bar, found.pending_offset, pending_size)) {
        function.messages = found;
    }
}

void find_reset(ConfigSpace& space, Function& function) {
    constexpr uint32_t express_can_reset = 1u << 28, advanced_can_reset = 1u << 1;
    if (const uint32_t at = find_capability(space, capability_express);
        at != 0 && (space.read(at + 4, 4) & express_can_reset) != 0) {
        function.reset = ResetKind::express;
        function.reset_at = static_cast<uint16_t>(at);
        return;
    }
    if (const uint32_t at = find_capability(space, capability_advanced);
        at != 0 && (space.read(at + 3, 1) & advanced_can_reset) != 0) {
        function.reset = ResetKind::advanced;
        function.reset_at = static_cast<uint16_t>(at);
    }
}

}  // namespace

bool Bar::shares_page_with(const Bar& other) const {
    if (!is_memory() || !other.is_memory()) return false;
    const auto first = [](const Bar& bar) { return bar.address / page_size; };
    const auto last = [](const Bar& bar) { return (bar.address + bar.size - 1) / page_size; };
    return first(*this) <= last(other) && first(other) <= last(*this);
}

bool MessageTable::overlaps(unsigned bar, uint64_t offset, uint64_t length) const {
    if (!present() || bar != table_bar || length == 0) return false;
    const uint64_t table_end = table_offset + uint64_t{entries} * message_entry_size - 1;
    return offset / page_size <= table_end / page_size &&
           table_offset / page_size <= (offset + length - 1) / page_size;
}

uint32_t find_capability(ConfigSpace& space, uint8_t id, uint32_t after) {
    if ((space.read(status_register, 2) & status_has_capabilities) == 0) return 0;
    uint32_t at = space.read(after == 0 ? capabilities_register : after + 1, 1) & 0xfc;
    // Longer lists go round in circles.
    for (uint32_t i = 0; i < capabilities_max && at >= first_capability; ++i) {
        if (space.read(at, 1) == id) return at;
        at = space.read(at + 1, 1) & 0xfc;
    }
    return 0;
}

bool read_function(ConfigSpace& space, Function& function) {
    function = {};
    const uint32_t id = space.read(id_register, 4);
    function.vendor = static_cast<uint16_t>(id);
    function.device = static_cast<uint16_t>(id >> 16);
    if (function.vendor == 0xffff || function.vendor == 0) return false;
    const uint32_t classes = space.read(class_register, 4);
    function.revision = static_cast<uint8_t>(classes);
    function.interface = static_cast<uint8_t>(classes >> 8);
    function.subclass = static_cast<uint8_t>(classes >> 16);
    function.class_code = static_cast<uint8_t>(classes >> 24);
    const auto header = static_cast<uint8_t>(space.read(header_register, 1));
    function.has_siblings = (header & header_siblings) != 0;
    function.is_bridge = (header & header_type_mask) == header_bridge;
    if (function.is_bridge) {
        function.secondary_bus = static_cast<uint8_t>(space.read(bridge_bus_register, 1));
    } else if ((header & header_type_mask) != 0) {
        return true;  // another layout: nothing of it can be used
    } else {
        const uint32_t subsystem = space.read(subsystem_register, 4);
        function.subsystem_vendor = static_cast<uint16_t>(subsystem);
        function.subsystem = static_cast<uint16_t>(subsystem >> 16);
    }
    read_bars(space, function);
    read_messages(space, function);
    find_reset(space, function);
    return true;
}

void set_command_bits(ConfigSpace& space, uint16_t set, uint16_t clear) {
    const uint32_t command = space.read(command_register, 2);
    space.write(command_register, 2, (command & ~uint32_t{clear}) | set);
    // What the function sent before has arrived when this is answered (PCI Express 3.0, 2.4.1).
    static_cast<void>(space.read(command_register, 2));
}

void set_messages_enabled(ConfigSpace& space, const MessageTable& messages, bool enabled) {
    if (!messages.present()) return;
    constexpr uint32_t enable = 1u << 15, mask_all = 1u << 14;
    const uint32_t at = messages.capability + 2u;
    const uint32_t control = space.read(at, 2) & ~(enable | mask_all);
    space.write(at, 2, control | (enabled ? enable : mask_all));
    static_cast<void>(space.read(at, 2));
}

void restore_bars(ConfigSpace& space, const Function& function) {
    for (unsigned i = 0; i < bars_max; ++i) {
        const Bar& bar = function.bars[i];
        if (bar.kind == Bar::Kind::none) continue;
        const uint32_t at = bar_register + 4 * i;
        const uint32_t flags = space.read(at, 4) & (bar.kind == Bar::Kind::ports ? 3 : 15);
        space.write(at, 4, static_cast<uint32_t>(bar.address) | flags);
        const bool wide = bar.kind == Bar::Kind::memory && (flags >> 1 & 3) == 2;
        if (wide && i + 1 < bars_max) {
            space.write(at + 4, 4, static_cast<uint32_t>(bar.address >> 32));
        }
    }
}

void begin_reset(ConfigSpace& space, const Function& function) {
    if (function.reset == ResetKind::express) {
        constexpr uint32_t initiate = 1u << 15;
        const uint32_t at = function.reset_at + 8u;
        space.write(at, 2, space.read(at, 2) | initiate);
    } else if (function.reset == ResetKind::advanced) {
        space.write(function.reset_at + 4u, 1, 1);
    }
}

}  // namespace annulus::pci
