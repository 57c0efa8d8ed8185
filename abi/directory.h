// SPDX-License-Identifier: MIT
// The directory protocol: what a served object of names answers. So far: publishing.
//
// share 0   in: word 0 a handle, which moves; bytes: the name   out: nothing
//
// Errors: not_granted (the client may not publish this name), exists (it is published),
// bad_argument (word 0 is no handle that moves), wrong_state (closed for this client).
#pragma once

#include "abi/verb.h"

#include <stdint.h>

namespace annulus::abi {

inline constexpr uint16_t directory_share = 0;

}  // namespace annulus::abi
