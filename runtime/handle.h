// SPDX-License-Identifier: MIT
// Handles as C++ values: a reference that somebody else owns, and an owner that closes.
//
// Every object type has two classes in generated/objects.h: `MemoryReference` names a memory
// object, has its operations, and is passed by value; `Memory` is Owned<MemoryReference>. An owner
// turns into a reference wherever one is asked for; a reference never turns into an owner.
#pragma once

#include "abi/handle.h"
#include "base/result.h"

#include <utility>

namespace annulus {

// Closes a handle that this process owns. A handle that an accepted request holds is not closed
// (busy): it stays open until the process ends.
void close_handle(abi::Handle handle);

// The value of a handle, and nothing that can be done with it: base of all references.
class HandleValue {
public:
    constexpr HandleValue() = default;
    constexpr explicit HandleValue(abi::Handle value) : value_(value) {}

    constexpr abi::Handle value() const { return value_; }
    constexpr bool empty() const { return value_ == abi::no_handle; }

protected:
    abi::Handle value_ = abi::no_handle;
};

// Owns a handle: closes it when it goes out of scope. Move-only.
template <typename ReferenceType>
class [[nodiscard]] Owned : public ReferenceType {
public:
    using Reference = ReferenceType;

    constexpr Owned() = default;
    constexpr explicit Owned(abi::Handle value) : ReferenceType(value) {}

    // Also from an owner of a more special type: an Owned<MemoryReference> is an object too.
    constexpr Owned(Owned&& other) : ReferenceType(other.release()) {}
    template <typename Special>
        requires std::is_base_of_v<ReferenceType, Special>
    constexpr Owned(Owned<Special>&& other) : ReferenceType(other.release()) {}

    Owned& operator=(Owned&& other) {
        if (this != &other) {
            close();
            this->value_ = other.release();
        }
        return *this;
    }
    Owned(const Owned&) = delete;
    Owned& operator=(const Owned&) = delete;
    constexpr ~Owned() {
        if (!this->empty()) close_handle(this->value_);
    }

    // Gives the handle away: the caller owns it now.
    [[nodiscard]] constexpr abi::Handle release() {
        return std::exchange(this->value_, abi::no_handle);
    }

    // Closes it now. Named apart from the operation so that the owner knows.
    void close() {
        const abi::Handle handle = release();
        if (handle != abi::no_handle) close_handle(handle);
    }
};

// After a call that `handle` moved with as word `word`. It is the server's if that went well. After
// an error `handle` is what came back, in place of what was sent, or else what it was: still the
// caller's if no server took the request, otherwise a name of nothing.
template <typename Answer, typename Reference>
void settle_moved(const Answer& answer, unsigned word, Owned<Reference>& handle) {
    const bool came_back = !answer.status.ok() && (answer.handle_mask >> word & 1) != 0;
    if (answer.status.ok() || came_back) static_cast<void>(handle.release());
    if (came_back) handle = Owned<Reference>(answer.words[word]);
}

}  // namespace annulus
