// SPDX-License-Identifier: MIT
// The early console: the first serial port, polled.
#pragma once

#include <string_view>

namespace annulus::arch {

// Writes text as it is (a line feed becomes carriage return and line feed). Takes no lock. Without
// a port it does nothing.
void console_write(std::string_view text);

// The byte that had arrived when the port's queues were turned on, which empties them. -1: none, or
// it was taken already. Under the ConsoleLock.
int console_take_early();

// Holds the console for a whole line, so that CPUs do not mix theirs. Interrupts must be off.
class ConsoleLock {
public:
    ConsoleLock();
    ~ConsoleLock();
    ConsoleLock(const ConsoleLock&) = delete;
    ConsoleLock& operator=(const ConsoleLock&) = delete;
};

}  // namespace annulus::arch
