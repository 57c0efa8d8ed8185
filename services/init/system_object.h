// SPDX-License-Identifier: MIT
// The object `system` (abi/system.h): the programs, their objects and budgets, their ends, and the
// machine's.
#pragma once

#include "services/init/served_objects.h"

namespace annulus::init {

// A handle that may list, get, remove and shut down.
Result<Served> make_system(const Server& server, Shared& shared);

}  // namespace annulus::init
