// SPDX-License-Identifier: MIT
// The stream protocol: what a served object of bytes answers (a console, a log, a connection).
//
// read 0    in: word 0 reserved (0)     out: bytes, at least 1; none says that the stream has ended
// write 0   in: bytes                   out: word 0 bytes taken, at least 1 unless none were given
// sync 0    in: nothing                 out: nothing; what was written has reached its destination
//
// Counts may be shorter than asked: one request moves at most a block of the server's table. A file
// answers the same operations at its end or begin, so that whoever knows only streams can use it.
#pragma once

#include "abi/protocol.h"
#include "abi/verb.h"

#include <stdint.h>

namespace annulus::abi {

inline constexpr uint32_t stream_version = protocol_version(1, 0);

inline constexpr uint16_t stream_read = 0;
inline constexpr uint16_t stream_write = 0;
inline constexpr uint16_t stream_sync = 0;

}  // namespace annulus::abi
