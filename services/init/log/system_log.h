// SPDX-License-Identifier: MIT
// The system's log: takes lines from any thread and writes them from one of its own, so that
// whoever logs never waits for the console.
//
// Target: the kernel's console until a stream is set, and again when that fails.
// Locking: `mutex_` guards the queue and the target; it is never held across a call.
#pragma once

#include "base/format.h"
#include "runtime/mutex.h"
#include "runtime/stream.h"
#include "services/init/log/line_queue.h"

namespace annulus::init {

class SystemLog {
public:
    static Result<SystemLog> create(LineQueue& queue, ConsoleReference console);

    // Whole lines of the program `source`.
    void append(std::string_view source, std::string_view text);

    // A line of init's own.
    template <typename... Arguments>
    void say(FormatPattern<std::type_identity_t<Arguments>...> pattern,
             const Arguments&... arguments) {
        char buffer[log_queue_line_max];
        append("init", format(buffer, pattern, arguments...));
    }

    // From now on lines go to the stream; empty: to the kernel's console.
    void set_target(Object stream);

    // Writes for ever: the log's thread.
    void run();

    // Returns when all lines of before are written, or after `limit`. One thread at a time.
    void flush(Duration limit);

private:
    SystemLog(LineQueue& queue, ConsoleReference console, Mutex mutex, BinarySemaphore filled,
              BinarySemaphore written)
        : queue_(queue),
          console_(console),
          mutex_(std::move(mutex)),
          filled_(std::move(filled)),
          written_(std::move(written)) {}

    std::string_view take(std::span<char> buffer);
    void write(std::string_view text);

    LineQueue& queue_;
    ConsoleReference console_;
    Mutex mutex_;
    BinarySemaphore filled_;
    BinarySemaphore written_;
    Object target_;
    bool flushing_ = false;
};

}  // namespace annulus::init
