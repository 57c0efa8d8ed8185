// SPDX-License-Identifier: MIT
// The shell's terminal.
#include "programs/shell/terminal.h"

#include "abi/stream.h"

#include <string.h>

#include <algorithm>

namespace annulus::shell {

Result<void> Terminal::prepare() {
    mutex_.emplace(TRY(Mutex::create()));
    line_bell_.emplace(TRY(BinarySemaphore::create()));
    interrupt_bell_.emplace(TRY(BinarySemaphore::create()));
    return {};
}

void Terminal::read_console() {
    for (;;) {
        std::byte bytes[64];
        const auto count = console_.read(bytes);
        if (!count.ok() || *count == 0) break;
        for (size_t i = 0; i < *count; ++i) take(static_cast<char>(bytes[i]));
    }
    // Order: relaxed, the bells order it before what the woken threads read.
    gone_.store(true, std::memory_order_relaxed);
    interrupted_.store(true, std::memory_order_relaxed);
    static_cast<void>(line_bell_->ring());
    static_cast<void>(interrupt_bell_->ring());
}

void Terminal::take(char byte) {
    char buffer[LineEditor::echo_max];
    TextBuffer echo(buffer);
    const Typed typed = editor_.take(byte, echo);
    static_cast<void>(console_.write(echo.text()));
    switch (typed) {
        case Typed::nothing: return;
        case Typed::line: return put(editor_.text(), '\n');
        case Typed::end: return put({}, end_mark);
        case Typed::interrupt: break;
    }
    // Order: relaxed, as above.
    if (!in_command_.load(std::memory_order_relaxed)) return put({}, '\n');
    interrupted_.store(true, std::memory_order_relaxed);
    static_cast<void>(interrupt_bell_->ring());
}

// A line for which there is no room is lost: nobody has read the last four thousand bytes.
void Terminal::put(std::string_view text, char end) {
    Lock lock(*mutex_);
    if (text.size() + 1 > queue_.size() - queued_) return;
    memcpy(queue_.data() + queued_, text.data(), text.size());
    queued_ += text.size();
    queue_[queued_++] = end;
    answer_reader_locked();
    static_cast<void>(line_bell_->ring());
}

// Takes up to the end of the first line, or what `space` has room for. 0 for Ctrl-D, too.
size_t Terminal::fill_locked(std::span<char> space) {
    size_t size = 0;
    size_t taken = 0;
    while (taken < queued_ && size < space.size()) {
        const char c = queue_[taken++];
        if (c != end_mark) space[size++] = c;
        if (c == '\n' || c == end_mark) break;
    }
    queued_ -= taken;
    memmove(queue_.data(), queue_.data() + taken, queued_);
    return size;
}

bool Terminal::read_line(std::string_view prompt, std::span<char> buffer, std::string_view& line) {
    // What was typed ahead has been shown already.
    write(prompt);
    for (;;) {
        if (gone()) return false;
        {
            Lock lock(*mutex_);
            if (queued_ != 0) {
                const size_t size = fill_locked(buffer);
                line = {buffer.data(), size};
                if (line.ends_with('\n')) line.remove_suffix(1);
                return size != 0;
            }
        }
        if (!line_bell_->wait().ok()) return false;
    }
}

void Terminal::write(std::string_view text) {
    if (interrupted() || text.empty()) return;
    if (!console_.write(text).ok()) gone_.store(true, std::memory_order_relaxed);
}

void Terminal::begin_command() {
    while (interrupt_bell_->wait(Deadline::poll()).ok()) {
    }
    // Order: relaxed, both are hints to another thread that Ctrl-C came before or after.
    interrupted_.store(false, std::memory_order_relaxed);
    in_command_.store(true, std::memory_order_relaxed);
}

void Terminal::end_command() {
    in_command_.store(false, std::memory_order_relaxed);
    interrupted_.store(gone(), std::memory_order_relaxed);
}

Answer Terminal::handle(Request& request) {
    if (!request.is(abi::Verb::read, abi::stream_read)) return Error::bad_operation;
    if (request.word(0) != 0) return Status(Error::bad_argument, 0);
    if (request.space().empty()) return Answer::with_bytes(0);
    Lock lock(*mutex_);
    if (reader_ != 0) return Error::busy;
    reader_ = request.id();
    reader_space_ = request.space();
    answer_reader_locked();
    return Answer::later();
}

void Terminal::answer_reader_locked() {
    if (reader_ == 0 || queued_ == 0) return;
    // Safety: any bytes may be looked at as characters.
    const size_t size =
        fill_locked({reinterpret_cast<char*>(reader_space_.data()), reader_space_.size()});
    static_cast<void>(server_.reply(reader_, Answer::with_bytes(size)));
    reader_ = 0;
}

void Terminal::forget_reader() {
    Lock lock(*mutex_);
    if (reader_ == 0) return;
    static_cast<void>(server_.reply(reader_, Error::cancelled));
    reader_ = 0;
}

}  // namespace annulus::shell
