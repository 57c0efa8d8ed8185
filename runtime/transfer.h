// SPDX-License-Identifier: MIT
// One request that moves bytes to a server, as much as the server takes at once.
#pragma once

#include "abi/status.h"
#include "base/result.h"
#include "generated/objects.h"
#include "runtime/deadline.h"

#include <cstddef>
#include <span>

namespace annulus {

// The most bytes that are ever asked for in one request.
inline constexpr size_t transfer_max = UINT32_MAX;

// Sends `bytes`, at most `most` of them, and answers how many were taken. The kernel refuses more
// than a block of the server's table and says how large that is: then it is tried once more with so
// many, which `most` is from then on.
inline Result<size_t> write_once(abi::Handle object, uint64_t operation,
                                 std::span<const std::byte> bytes, uint64_t word_0,
                                 Deadline deadline, size_t& most) {
    for (;;) {
        const auto part = bytes.first(bytes.size() < most ? bytes.size() : most);
        const auto answer = system::call_buffer(object, operation, system::buffer_in(part), word_0,
                                                0, 0, 0, 0, 0, deadline.at);
        if (answer.status.ok()) {
            // A server that claims more than it was given has broken the protocol.
            if (answer.words[0] > part.size()) return Error::faulted;
            return static_cast<size_t>(answer.words[0]);
        }
        const size_t block = answer.status.extra();
        const bool too_long =
            answer.status.code() == Error::limit && block != 0 && block < part.size();
        if (!too_long) return answer.status;
        most = block;
    }
}

}  // namespace annulus
