// SPDX-License-Identifier: MIT
// Lines of the log that wait to be written.
#include "services/init/log/line_queue.h"

#include <utility>

#include "base/format.h"

namespace annulus::init {
namespace {

constexpr unsigned char delete_byte = 0x7f;

// UTF-8 passes, control bytes but the tab do not.
char printable(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < ' ' && c != '\t') || byte == delete_byte ? '?' : c;
}

}  // namespace

void LineQueue::append(std::string_view source, std::string_view text) {
    while (!text.empty()) {
        const size_t end = text.find('\n');
        append_line(source, text.substr(0, end));
        if (end == std::string_view::npos) return;
        text.remove_prefix(end + 1);
    }
}

void LineQueue::append_line(std::string_view source, std::string_view line) {
    char text[log_queue_line_max];
    TextBuffer out(std::span(text).first(log_queue_line_max - 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    format_to(out, "{}: ", source);
    for (const char c : line) out.append(printable(c));
    const size_t size = out.text().size();
    text[size] = '\n';
    // Once a line was lost, all are until it was told, so that the report stands where they were.
    if (lost_ != 0 || size + 1 > capacity - count_) {
        lost_++;
        return;
    }
    for (const char c : std::string_view(text, size + 1)) {
        bytes_[(head_ + count_++) % capacity] = c;
    }
}

std::string_view LineQueue::take(std::span<char> buffer) {
    size_t fits = 0;
    const size_t most = buffer.size() < count_ ? buffer.size() : count_;
    for (size_t i = 0; i < most; i++) {
        buffer[i] = at(i);
        if (buffer[i] == '\n') fits = i + 1;
    }
    head_ = (head_ + fits) % capacity;
    count_ -= fits;
    if (fits != 0 || lost_ == 0) return {buffer.data(), fits};
    return format(buffer, "init: {} lines of the log were lost\n", std::exchange(lost_, 0));
}

}  // namespace annulus::init
