// SPDX-License-Identifier: MIT
// Threads of a test whose order is certain, and many threads at once.
#pragma once

#include "runtime/thread.h"

#include <array>
#include <optional>

namespace annulus::test {

// Beside on_one_cpu(): starts at once and runs until it blocks, whatever its starter does.
inline constexpr ThreadOptions eager = {.stack_pages = 8, .priority = 40, .affinity = 1};
// Beside on_one_cpu(): runs when its starter blocks.
inline constexpr ThreadOptions patient = {.stack_pages = 8, .priority = 10, .affinity = 1};

// Runs `body` on CPU 0 and waits for its end. Threads that it starts as `eager` have got as far as
// they can when start_thread returns, so tests of order need no delays.
template <typename Body>
Result<void> on_one_cpu(Body body) {
    auto thread =
        TRY(start_thread([&body] { body(); }, {.stack_pages = 32, .priority = 20, .affinity = 1}));
    return thread.join();
}

// Kills a thread and waits until it is gone: a request of its that was taken is an orphan then.
inline Result<void> kill_and_join(RunningThread& thread) {
    TRY(thread.handle().remove_kill(0));
    return thread.join();
}

// Up to `capacity` threads, joined at the latest when it goes out of scope.
template <unsigned capacity>
class Crew {
public:
    template <typename Function>
    Result<void> add(Function function, const ThreadOptions& options = {}) {
        if (count_ == capacity) return Error::too_many;
        threads_[count_].emplace(TRY(start_thread(std::move(function), options)));
        ++count_;
        return {};
    }

    // Waits for all, as long as `deadline` for each.
    Result<void> join(Deadline deadline = Deadline::never()) {
        for (; joined_ < count_; ++joined_) {
            TRY(threads_[joined_]->join(deadline));
            threads_[joined_].reset();
        }
        return {};
    }

    ThreadReference operator[](unsigned index) const { return threads_[index]->handle(); }
    unsigned size() const { return count_; }

private:
    std::array<std::optional<RunningThread>, capacity> threads_;
    unsigned count_ = 0;
    unsigned joined_ = 0;
};

}  // namespace annulus::test
