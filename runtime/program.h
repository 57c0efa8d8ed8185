// SPDX-License-Identifier: MIT
// What a program includes: it defines program_main, and gets all its authority as the argument.
//
//   annulus::Result<void> annulus::program_main(Environment& environment) {
//       auto output = TRY(environment.handle<Stream>("output"));
//       return output.write("hello\n");
//   }
#pragma once

#include "base/result.h"
#include "generated/objects.h"
#include "runtime/end.h"
#include "runtime/environment.h"
#include "runtime/log.h"
#include "runtime/stream.h"

namespace annulus {

// The program. When it returns, the process ends, with 0 as exit code or the status of the error;
// an error is logged.
Result<void> program_main(Environment& environment);

}  // namespace annulus
