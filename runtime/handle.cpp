// SPDX-License-Identifier: MIT
// Closing of handles, out of line: it stands in every owner's destructor.

#include "runtime/handle.h"

#include "abi/operations.h"
#include "runtime/system_call.h"

namespace annulus {

void close_handle(abi::Handle handle) {
    static_cast<void>(
        system::call_words(handle, abi::operation_word(abi::Verb::close, abi::selector_universal)));
}

}  // namespace annulus
