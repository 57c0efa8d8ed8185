// SPDX-License-Identifier: MIT
// Which protocol a served object speaks. Servers answer it on every object that does something:
//
// get 0xfe00   in: nothing   out: word 0 a Protocol, word 1 its version, word 2 the most bytes that
//                            one request moves (the block of the server's table)
//
// A version is major << 16 | minor. A minor version only adds; another major version is another
// protocol, which a client refuses with wrong_version.
#pragma once

#include <stdint.h>

namespace annulus::abi {

inline constexpr uint16_t get_protocol = 0xfe00;

enum class Protocol : uint32_t {
    stream = 1,     // abi/stream.h
    directory = 2,  // abi/directory.h
    file = 3,       // abi/file.h: a file or a directory of files
    system = 4,     // abi/system.h
    packet = 5,     // abi/packet.h
    pci = 6,        // abi/pci.h: a bus or a slot
    pci_device = 7,
    source = 8,       // abi/source.h: hands out an object anew
    network = 9,      // abi/net.h: the network, or a beginning of a path
    listener = 10,    // and the sockets
    connection = 11,  // a stream, and more
    datagrams = 12,
};

constexpr uint32_t protocol_version(uint16_t major, uint16_t minor) {
    return uint32_t{major} << 16 | minor;
}
constexpr uint16_t protocol_major(uint64_t version) { return static_cast<uint16_t>(version >> 16); }

}  // namespace annulus::abi
