// SPDX-License-Identifier: MIT
// What an object is: its type, and which protocol a served one speaks.
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

// For handles that a peer handed over, before anything is asked of them: a served object in place
// of a kernel's would get the question, and its server might never answer. The kernel says which it
// is. wrong_type.
Result<void> check_type(ObjectReference object, abi::ObjectType type);

}  // namespace annulus
