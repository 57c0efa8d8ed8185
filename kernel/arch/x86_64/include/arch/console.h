// SPDX-License-Identifier: MIT
// The early console: the first serial port, polled.
#pragma once

#include <string_view>

namespace annulus::arch {

// Writes text as it is (a line feed becomes carriage return and line feed). Takes no lock. Without
// a port it does nothing.
void console_write(std::string_view text);

// Reads one byte that has arrived, or -1.
int console_read();

// Holds the console for a whole line, so that CPUs do not mix theirs. Interrupts must be off.
class ConsoleLock {
public:
    ConsoleLock();
    ~ConsoleLock();
    ConsoleLock(const ConsoleLock&) = delete;
    ConsoleLock& operator=(const ConsoleLock&) = delete;
};

}  // namespace annulus::arch
