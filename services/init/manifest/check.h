// SPDX-License-Identifier: MIT
// The checks that need the whole manifest.
#pragma once

#include "services/init/manifest.h"

namespace annulus::init {

// Finds the provider of every given name; refuses names that nobody or several provide, programs
// that wait for one another, budgets that hand out more than they have, and hardware that is
// handed out twice. False with the first error. Fills in Give::index.
[[nodiscard]] bool check_manifest(Manifest& manifest, ManifestError& error);

}  // namespace annulus::init
