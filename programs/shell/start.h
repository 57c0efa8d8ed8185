// SPDX-License-Identifier: MIT
// Starts a program from a file, with the objects that were asked for.
#pragma once

#include "programs/shell/jobs.h"

namespace annulus::shell {

// On an error nothing runs, and `failed` says what it was about: a word of the request.
Result<Job> start_program(Shell& shell, const RunRequest& request, std::string_view& failed);

}  // namespace annulus::shell
