// SPDX-License-Identifier: MIT
// The protocol of PCI devices, as the PCI manager serves them.
//
// A bus: all devices of the machine
//   list 0    in: word 0 cursor, 0 at first   out: word 0 next cursor, 0 at the end; bytes:
//             PciRecord[]
//   open 0    in: words 0; bytes: a path      out: word 0 the device (moves), word 1 bytes consumed
//             Paths: id/1af4:1041 (vendor and device), class/0200 (class and subclass), each
//             followed by /1, /2, ... for others than the first; at/00:02.0 (bus:device.function).
//
// A slot: one device, whether or not it is there
//   open 0    in: words 0; no bytes           out: as above
//
// A device: one driver's session. Everything below ends with its last handle: the manager first
// takes the device's right to start DMA and its interrupts, resets it if it can, and then lets go
// of the memory that it could reach. A device has one session at a time.
//   get 0     out: bytes: PciDeviceInfo
//   read 0    in: word 0 offset               out: bytes of the configuration space from there on
//   map 0     in: word 0 BAR, word 1 offset in bytes, word 2 length
//             out: word 0 memory of the pages that hold them (moves), word 1 where in it the first
//             byte lies
//   create 0  in: word 0 n, word 1 CPU        out: word 0 interrupt n of the device (moves)
//   share 0   in: word 0 contiguous memory (moves)
//             out: word 0 its physical address, word 1 a key. The device may reach this memory
//             from now on; it stays allocated, whatever becomes of its owner
//   remove 0  in: word 0 key                  out: nothing; the device does not use it any more
//   set 0     in: word 0: 1 lets the device start DMA, 0 forbids it
//
// Errors: not_found (no such device), busy (another session, or somebody still holds what it gave
// out), out_of_range, permission (pages that hold the device's interrupt table, or registers of
// another device), not_supported (the device has no message interrupts, or the firmware
// assigned it no address), wrong_type (no memory), wrong_state (memory that is not contiguous),
// limit (too many interrupts or memory objects), exists (interrupt n was made already).
#pragma once

#include "abi/protocol.h"
#include "abi/verb.h"

#include <stdint.h>

namespace annulus::abi {

inline constexpr uint32_t pci_version = protocol_version(1, 0);

inline constexpr uint16_t pci_list_devices = 0;
inline constexpr uint16_t pci_open = 0;
inline constexpr uint16_t pci_get_info = 0;
inline constexpr uint16_t pci_read_config = 0;
inline constexpr uint16_t pci_map_registers = 0;
inline constexpr uint16_t pci_create_interrupt = 0;
inline constexpr uint16_t pci_share_memory = 0;
inline constexpr uint16_t pci_remove_memory = 0;
inline constexpr uint16_t pci_set_dma = 0;

// Named limits, for each session.
inline constexpr unsigned pci_interrupts_max = 32;
inline constexpr unsigned pci_shared_max = 32;

struct PciRecord {
    uint16_t address;  // bus << 8 | device << 3 | function
    uint16_t vendor;
    uint16_t device;
    uint16_t subsystem_vendor;
    uint16_t subsystem;
    uint8_t class_code;
    uint8_t subclass;
    uint8_t interface;
    uint8_t revision;
    uint16_t reserved;
};
static_assert(sizeof(PciRecord) == 16);

enum class PciBarKind : uint32_t { none = 0, memory = 1, ports = 2 };

struct PciBar {
    uint64_t size;     // in bytes
    uint64_t address;  // physical, for reports; 0: the firmware assigned none
    PciBarKind kind;
    uint32_t reserved;
};

struct PciDeviceInfo {
    PciRecord record;
    PciBar bars[6];
    uint32_t interrupts;  // message interrupts that it has
    uint32_t resets;      // 1: it is reset at the end of a session
};

}  // namespace annulus::abi
