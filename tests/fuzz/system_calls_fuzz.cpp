// SPDX-License-Identifier: MIT
// Fuzz target of the system calls: whatever threads call, in whatever order they go on, nothing
// breaks, every error is one that the operation describes, and in the end all is given back.
#include "tests/support/random_program.h"

#include <stddef.h>
#include <stdint.h>

using annulus::test::Choices;
using annulus::test::KernelMachine;
using annulus::test::RandomProgram;

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    constexpr uint64_t pages = 2048;
    KernelMachine machine(pages);
    Choices choices(data, size);
    RandomProgram program(machine, choices);
    for (unsigned i = 0; i < 400 && !choices.done(); ++i) program.step();
    return 0;
}
