// SPDX-License-Identifier: MIT
// What the shell was handed.
#include "programs/shell/places.h"

#include "abi/errors.h"
#include "abi/names.h"
#include "runtime/path.h"

namespace annulus::shell {

Result<Place> Shell::find(std::string_view path) const {
    const PathParts parts = split_first(path);
    return Place{TRY(environment.handle<Object>(parts.first)), parts.rest};
}

void Shell::explain(std::string_view name, Status status) const {
    const char* sentence = "";
    for (const abi::ErrorDescription& known : abi::error_descriptions) {
        if (known.code == status.code()) sentence = known.sentence;
    }
    terminal.say("{}: {} ({})", name, abi::name_of(status.code()), sentence);
    switch (status.code()) {
        case Error::no_right:
            terminal.say(": {}", abi::name_of(abi::Verb{static_cast<uint8_t>(status.detail())}));
            break;
        case Error::no_budget:
            terminal.say(": {}",
                         abi::name_of(abi::Resource{static_cast<uint8_t>(status.detail())}));
            break;
        default: break;
    }
    terminal.write("\n");
}

}  // namespace annulus::shell
