// SPDX-License-Identifier: MIT
// The smallest program: says hello on its output.

#include "runtime/program.h"

annulus::Result<void> annulus::program_main(Environment& environment) {
    auto output = TRY(environment.handle<Stream>("output"));
    return output.write("hello, world\n");
}
