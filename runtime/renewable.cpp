// SPDX-License-Identifier: MIT
// Asking a source.
#include "runtime/renewable.h"

#include "abi/source.h"
#include "runtime/directory.h"
#include "runtime/system_call.h"

namespace annulus::renewable_detail {

bool is_source(ServedReference given) {
    constexpr uint64_t operation = abi::operation_word(abi::Verb::get, abi::get_protocol);
    const auto answer = system::call_words(given.value(), operation);
    return answer.status.ok() && answer.words[0] == static_cast<uint64_t>(abi::Protocol::source);
}

Result<Object> ask(ServedReference source) { return open(source, "", 0); }

}  // namespace annulus::renewable_detail
