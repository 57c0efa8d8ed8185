// SPDX-License-Identifier: MIT
// The shell's terminal: lines that are typed, what commands say, and Ctrl-C.
//
// One thread reads the console for as long as the shell lives, so Ctrl-C is seen whatever else is
// going on. Lines wait in a queue, for the prompt, or for a program that was given `input`, a
// stream that the shell serves. The console itself is handed to programs for writing only, unless a
// user says otherwise.
// Locking: `mutex_` guards the queue and the read that waits for it.
#pragma once

#include "base/format.h"
#include "programs/shell/text/line_editor.h"
#include "runtime/mutex.h"
#include "runtime/server.h"
#include "runtime/stream.h"
#include "runtime/thread.h"

#include <atomic>
#include <optional>

namespace annulus::shell {

class Terminal final : public ServedByThis {
public:
    // Two requests of the object `input` at a time.
    static constexpr unsigned input_slots = 2;
    static constexpr size_t input_block = 1024;

    Terminal(Stream console, const Server& server) : console_(console), server_(server) {}
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    // Before anything else. no_budget.
    Result<void> prepare();

    // The thread that reads the console: until that fails.
    void read_console();

    // Shows the prompt and waits for a line, which goes to `buffer`, of line_max bytes. False:
    // Ctrl-D, or the console is gone.
    bool read_line(std::string_view prompt, std::span<char> buffer, std::string_view& line);

    // Writes; drops it after an interrupt, so that a command ends soon.
    void write(std::string_view text);
    template <typename... Arguments>
    void say(FormatPattern<std::type_identity_t<Arguments>...> pattern,
             const Arguments&... arguments) {
        char buffer[line_max + 256];
        write(format(buffer, pattern, arguments...));
    }

    // Between the two, Ctrl-C interrupts instead of ending the line.
    void begin_command();
    void end_command();
    // Order: relaxed, it carries no data.
    bool interrupted() const { return interrupted_.load(std::memory_order_relaxed); }
    SemaphoreReference interrupt() const { return interrupt_bell_->handle(); }

    Stream console() const { return console_; }
    bool gone() const { return gone_.load(std::memory_order_relaxed); }

    // `input`, for programs: reads give what is typed, line by line.
    Answer handle(Request& request) override;
    // Nobody reads any more: what is typed is for the prompt again.
    void forget_reader();

private:
    // Bytes of lines that wait; and what stands for Ctrl-D among them, which no line contains.
    static constexpr size_t queue_max = 4096;
    static constexpr char end_mark = 0x04;

    void take(char byte);
    void put(std::string_view text, char end);
    size_t fill_locked(std::span<char> space) REQUIRES(*mutex_);
    void answer_reader_locked() REQUIRES(*mutex_);

    Stream console_;
    const Server& server_;
    std::optional<Mutex> mutex_;
    std::optional<BinarySemaphore> line_bell_;
    std::optional<BinarySemaphore> interrupt_bell_;
    LineEditor editor_;  // the reading thread's
    std::array<char, queue_max> queue_ GUARDED_BY(*mutex_){};
    size_t queued_ GUARDED_BY(*mutex_) = 0;
    uint64_t reader_ GUARDED_BY(*mutex_) = 0;  // a request that waits for a line; 0: none
    std::span<std::byte> reader_space_ GUARDED_BY(*mutex_);
    std::atomic<bool> in_command_ = false;
    std::atomic<bool> interrupted_ = false;
    std::atomic<bool> gone_ = false;
};

}  // namespace annulus::shell
