// SPDX-License-Identifier: MIT
// A directory of names behind a handle, by synchronous calls. So far: publishing.
#pragma once

#include "base/result.h"
#include "generated/objects.h"

#include <string_view>

namespace annulus {

namespace names {
inline constexpr std::string_view exports = "exports";  // where a program publishes what it serves
}  // namespace names

// Names a served object that knows abi/directory.h. Does not own the handle.
class Directory : public ServedReference {
public:
    using Reference = Directory;
    using ServedReference::ServedReference;

    // Publishes `object`, which moves; on an error it stays with the caller. not_granted: this name
    // is not the program's to publish; exists.
    template <typename ObjectKind>
    Result<void> publish(std::string_view name, Owned<ObjectKind>&& object) const {
        const auto result = publish_handle(name, object.value());
        if (result.ok()) static_cast<void>(object.release());
        return result.status();
    }

private:
    Result<void> publish_handle(std::string_view name, abi::Handle object) const;
};

}  // namespace annulus
