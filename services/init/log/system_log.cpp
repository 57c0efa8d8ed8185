// SPDX-License-Identifier: MIT
// The system's log.
#include "services/init/log/system_log.h"

namespace annulus::init {
namespace {

// A console that takes longer for a thousand bytes is not going to take them.
constexpr Duration write_limit = seconds(2);

}  // namespace

Result<SystemLog> SystemLog::create(LineQueue& queue, ConsoleReference console) {
    auto mutex = TRY(Mutex::create());
    auto filled = TRY(BinarySemaphore::create());
    auto written = TRY(BinarySemaphore::create());
    return SystemLog(queue, console, std::move(mutex), std::move(filled), std::move(written));
}

void SystemLog::append(std::string_view source, std::string_view text) {
    {
        Lock lock(mutex_);
        queue_.append(source, text);
    }
    static_cast<void>(filled_.ring());
}

void SystemLog::set_target(Object stream) {
    Object before;
    Lock lock(mutex_);
    before = std::move(target_);
    target_ = std::move(stream);
}

std::string_view SystemLog::take(std::span<char> buffer) {
    Lock lock(mutex_);
    const std::string_view text = queue_.take(buffer);
    if (text.empty() && flushing_) {
        flushing_ = false;
        static_cast<void>(written_.ring());
    }
    return text;
}

void SystemLog::write(std::string_view text) {
    abi::Handle target;
    {
        Lock lock(mutex_);
        target = target_.value();
    }
    // Should the target be closed meanwhile, its handle names nothing any more.
    if (target != abi::no_handle && Stream(target).write(text, Deadline::after(write_limit)).ok()) {
        return;
    }
    // Refused once the kernel has left the port; then the text is lost.
    static_cast<void>(console_.write_text(std::as_bytes(std::span(text))));
}

void SystemLog::run() {
    char buffer[log_queue_line_max];
    for (;;) {
        const std::string_view text = take(buffer);
        if (text.empty()) {
            if (!filled_.wait().ok()) return;
        } else {
            write(text);
        }
    }
}

void SystemLog::flush(Duration limit) {
    {
        Lock lock(mutex_);
        flushing_ = true;
    }
    static_cast<void>(filled_.ring());
    static_cast<void>(written_.wait(Deadline::after(limit)));
}

}  // namespace annulus::init
