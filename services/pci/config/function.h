// SPDX-License-Identifier: MIT
// What a function's configuration space says: who it is, its registers, its capabilities.
//
// No hardware access but through ConfigSpace. The function is not trusted: lists may loop, sizes
// may be anything, and values may change between two reads. Every loop is bounded, and what does
// not fit together counts as absent. Registers: PCI Local Bus 3.0, chapter 6; PCI Express 3.0,
// chapter 7.
#pragma once

#include "services/pci/config/config_space.h"

#include <stdint.h>

#include <array>

namespace annulus::pci {

inline constexpr unsigned bars_max = 6;

// A base address register.
struct Bar {
    enum class Kind : uint8_t { none, memory, ports };
    Kind kind = Kind::none;
    uint64_t address = 0;  // 0: the firmware assigned none
    uint64_t size = 0;     // a power of two

    bool is_memory() const { return kind == Kind::memory && address != 0; }
    // True if the two have a page in common.
    bool shares_page_with(const Bar& other) const;
};

// Message interrupts (MSI-X, PCI 3.0, 6.8.2). Table and pending bits lie within their BARs.
struct MessageTable {
    uint16_t capability = 0;  // offset in the configuration space; 0: there is none
    uint16_t entries = 0;
    uint8_t table_bar = 0;
    uint8_t pending_bar = 0;
    uint32_t table_offset = 0;
    uint32_t pending_offset = 0;

    bool present() const { return capability != 0; }
    // True if [offset, offset + length) of the BAR shares a page with the table.
    bool overlaps(unsigned bar, uint64_t offset, uint64_t length) const;
};

inline constexpr uint32_t message_entry_size = 16;

// How the function can be reset on its own.
enum class ResetKind : uint8_t { none, express, advanced };

struct Function {
    uint16_t vendor = 0;
    uint16_t device = 0;
    uint16_t subsystem_vendor = 0;
    uint16_t subsystem = 0;
    uint8_t class_code = 0;
    uint8_t subclass = 0;
    uint8_t interface = 0;
    uint8_t revision = 0;
    bool is_bridge = false;
    bool has_siblings = false;  // functions 1 to 7 may be there
    uint8_t secondary_bus = 0;  // of a bridge: the bus behind it
    uint16_t reset_at = 0;      // capability of ResetKind
    ResetKind reset = ResetKind::none;
    MessageTable messages;
    std::array<Bar, bars_max> bars{};
};

// Reads a function. False: nobody answers. Sizing its registers turns its decoding off for a
// moment; a function that is no bridge is left without the right to start DMA.
bool read_function(ConfigSpace& space, Function& function);

// The offset of the first capability with this id behind `after` (0: the first of all); 0: none.
uint32_t find_capability(ConfigSpace& space, uint8_t id, uint32_t after = 0);

// The command register.
void set_command_bits(ConfigSpace& space, uint16_t set, uint16_t clear);
inline constexpr uint16_t command_memory = 2;
inline constexpr uint16_t command_dma = 4;
inline constexpr uint16_t command_no_line = 1u << 10;  // raises no line interrupt

// MSI-X as a whole: on, off.
void set_messages_enabled(ConfigSpace& space, const MessageTable& messages, bool enabled);

// Writes the addresses of its registers, which a reset takes away.
void restore_bars(ConfigSpace& space, const Function& function);

// Begins a reset. The function must not be touched for 100 ms (PCI Express 3.0, 6.6.2).
void begin_reset(ConfigSpace& space, const Function& function);

}  // namespace annulus::pci
