// SPDX-License-Identifier: MIT
// Lines of the log that wait to be written. Policy-free; the caller locks.
//
// Invariant: the queue holds whole lines, each with its line feed, so that text of two programs
// never mixes. A line for which there is no room is lost and counted: no program waits for the log.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <span>
#include <string_view>

namespace annulus::init {

// The longest line with its source and line feed: what the kernel's console takes at once.
inline constexpr size_t log_queue_line_max = 1024;

class LineQueue {
public:
    static constexpr size_t capacity = 32 * 1024;

    // Appends each line of `text` as "source: line". Control bytes become '?', so that no program
    // can steer the terminal of whoever reads the log; longer lines are cut.
    void append(std::string_view source, std::string_view text);

    // Takes as many whole lines as `buffer`, of at least log_queue_line_max bytes, has room for.
    // Where lines were lost, a line says how many. Empty: there are none.
    std::string_view take(std::span<char> buffer);

    [[nodiscard]] bool empty() const { return count_ == 0 && lost_ == 0; }

private:
    void append_line(std::string_view source, std::string_view line);
    [[nodiscard]] char at(size_t offset) const { return bytes_[(head_ + offset) % capacity]; }

    std::array<char, capacity> bytes_{};  // a ring
    size_t head_ = 0;
    size_t count_ = 0;
    uint64_t lost_ = 0;  // lines, since the last one that was taken
};

}  // namespace annulus::init
