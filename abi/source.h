// SPDX-License-Identifier: MIT
// The protocol of a source: it hands out what a program provides at the moment, so that a client
// can go on with the next run of a provider that died. `init` serves one for each `renewable` give.
//
// open 0        abi/directory.h, with an empty path; flags say nothing.   out: word 0 a handle
// (moves) get 0xfe00    abi/protocol.h: Protocol::source
//
// Errors of open: server_died (nothing is provided now), wrong_type (what is provided is not what
// the manifest says), not_found (a path).
#pragma once

#include "abi/protocol.h"

namespace annulus::abi {

inline constexpr uint32_t source_version = protocol_version(1, 0);

}  // namespace annulus::abi
