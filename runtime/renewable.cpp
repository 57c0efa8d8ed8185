// SPDX-License-Identifier: MIT
// Asking a source.
#include "runtime/renewable.h"

#include "runtime/directory.h"
#include "runtime/protocol.h"

namespace annulus::renewable_detail {

bool is_source(ServedReference given) {
    const auto info = protocol_of(given);
    return info.ok() && info->protocol == abi::Protocol::source;
}

Result<Object> ask(ServedReference source) { return open(source, "", 0); }

}  // namespace annulus::renewable_detail
