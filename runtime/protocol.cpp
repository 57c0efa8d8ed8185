// SPDX-License-Identifier: MIT
// What an object is.
#include "runtime/protocol.h"

#include "runtime/system_call.h"

namespace annulus {

Result<ProtocolInfo> protocol_of(ServedReference object, Deadline deadline) {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::get, abi::get_protocol);
    const auto answer =
        system::call_buffer(object.value(), operation, {}, 0, 0, 0, 0, 0, 0, deadline.at);
    if (!answer.status.ok()) return answer.status;
    const auto& words = answer.words;
    return ProtocolInfo{static_cast<abi::Protocol>(words[0]), static_cast<uint32_t>(words[1]),
                        words[2]};
}

Result<void> check_type(ObjectReference object, abi::ObjectType type) {
    const auto info = TRY(object.get_info());
    if (info.type != static_cast<uint64_t>(type)) return Error::wrong_type;
    return {};
}

}  // namespace annulus
