// SPDX-License-Identifier: MIT
// An object of another program that can be asked for anew when that program was restarted.
//
//   auto behind = TRY(Renewable<PacketInterface>::of(TRY(environment.handle<Object>("behind"))));
//   const auto info = behind.object().info();
//   if (is_gone(info.error()) && behind.renew().ok()) ... begin a new session
//
// What was handed out is the object itself or a source of it (abi/source.h): the manifest decides.
// Nothing of a session with the object that died goes on by itself.
#pragma once

#include "base/result.h"
#include "generated/objects.h"

#include <utility>

namespace annulus {

namespace renewable_detail {

// Whether `given` is a source.
bool is_source(ServedReference given);
// What `source` hands out now. Errors: abi/source.h.
Result<Object> ask(ServedReference source);

}  // namespace renewable_detail

// Whether a request answers this because whoever provided the object has died: server_died or
// closed at first, bad_handle once the budget that paid for the object is gone.
constexpr bool is_gone(Error error) {
    return error == Error::server_died || error == Error::closed || error == Error::bad_handle;
}

template <typename Reference>
class Renewable {
public:
    // server_died: it is a source, and has nothing now.
    static Result<Renewable> of(ServedReference given) {
        Renewable made(given);
        if (!renewable_detail::is_source(given)) return made;
        made.is_source_ = true;
        TRY(made.renew());
        return made;
    }

    // Valid until the next renew().
    Reference object() const {
        return is_source_ ? Reference(now_.value()) : Reference(given_.value());
    }

    bool can_renew() const { return is_source_; }

    // Takes what is provided now; on an error the old one stays. server_died: nothing is, now, or
    // ever, if the object itself was handed out.
    Result<void> renew() {
        if (!is_source_) return Error::server_died;
        now_ = TRY(renewable_detail::ask(given_));
        return {};
    }

private:
    explicit Renewable(ServedReference given) : given_(given) {}

    ServedReference given_;
    bool is_source_ = false;
    Object now_;
};

}  // namespace annulus
