// SPDX-License-Identifier: MIT
// Asking a served object which protocol it speaks.
#pragma once

#include "abi/protocol.h"
#include "base/result.h"
#include "generated/objects.h"
#include "runtime/deadline.h"

namespace annulus {

struct ProtocolInfo {
    abi::Protocol protocol{};
    uint32_t version = 0;      // abi::protocol_version
    uint64_t block_bytes = 0;  // the most that one request moves
};

// bad_operation: it does not say. no_right: the handle may not `get`.
Result<ProtocolInfo> protocol_of(ServedReference object, Deadline deadline = Deadline::never());

}  // namespace annulus
