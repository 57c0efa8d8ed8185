// SPDX-License-Identifier: MIT
// Threads of this process: started with a stack of their own, ended by returning, and joined.
#pragma once

#include "base/result.h"
#include "generated/objects.h"
#include "runtime/deadline.h"
#include "runtime/end.h"

#include <stddef.h>
#include <stdint.h>

#include <new>
#include <type_traits>
#include <utility>

namespace annulus {

// Priority of a thread that asks for none: the middle of what drivers (above) and bulk work (below)
// use. A budget with a lower ceiling needs it given.
inline constexpr unsigned default_priority = 32;

struct ThreadOptions {
    size_t stack_pages = 16;
    unsigned priority = default_priority;
    uint64_t affinity = 0;  // mask of CPUs, 0: any
};

namespace thread_detail {

// How many stacks of the default size a program keeps for its next threads. They stay mapped, and
// its budget pays for the pages that were used.
inline constexpr unsigned kept_stacks_max = 4;

// A stack, with the semaphore that tells that its thread is off it; thread-local storage and
// control block lie at its top.
class Stack {
public:
    // One that was kept, or a new one.
    static Result<Stack> create(size_t pages);
    Stack(Stack&& other)
        : begin_(std::exchange(other.begin_, 0)),
          size_(other.size_),
          top_(other.top_),
          control_(other.control_),
          ended_(std::move(other.ended_)) {}
    Stack& operator=(Stack&&) = delete;
    // Keeps it for the next thread, or unmaps it: no thread may be on it, nor signal ended() later.
    ~Stack();

    // Has no units until the thread has left user mode for ever; made when it is first asked for.
    Result<SemaphoreReference> ended();

    // Takes `bytes` from the top, at a multiple of `alignment`; null if there is no room for them
    // beside half a page of frames.
    void* carve(size_t bytes, size_t alignment);

    // Leaves the stack mapped for ever.
    void abandon() { begin_ = 0; }
    bool abandoned() const { return begin_ == 0; }

    uint64_t top() const { return top_; }
    uint64_t control() const { return control_; }

private:
    Stack(uint64_t begin, uint64_t size);
    bool keep();
    uint64_t begin_;
    uint64_t size_;
    uint64_t top_;
    uint64_t control_;
    Semaphore ended_;
};

using Entry = void (*)(void* argument);

}  // namespace thread_detail

// A started thread. The owner joins it at the latest when it goes out of scope.
class [[nodiscard]] RunningThread {
public:
    RunningThread(RunningThread&&) = default;
    RunningThread& operator=(RunningThread&&) = delete;
    ~RunningThread() {
        if (thread_.empty()) return;
        if (!join().ok()) panic("a thread cannot be joined");
    }

    // Waits until the thread has left user mode for ever, and takes its stack back. timed_out: it
    // still runs.
    Result<void> join(Deadline deadline = Deadline::never());

    ThreadReference handle() const { return thread_; }

private:
    friend Result<RunningThread> start_on_stack(thread_detail::Stack&, thread_detail::Entry, void*,
                                                const ThreadOptions&);
    RunningThread(thread_detail::Stack stack, SemaphoreReference ended, Thread thread)
        : stack_(std::move(stack)), ended_(ended), thread_(std::move(thread)) {}

    thread_detail::Stack stack_;
    SemaphoreReference ended_;  // the stack's; one unit when it has left user mode
    Thread thread_;
};

// Starts `entry(argument)` on the stack, which moves to the result; on an error it stays with the
// caller.
Result<RunningThread> start_on_stack(thread_detail::Stack& stack, thread_detail::Entry entry,
                                     void* argument, const ThreadOptions& options);

// Starts a thread that runs `function`, which is moved to its stack and destroyed by it. Needs the
// handles `process` and `budget`. not_granted; no_room; too_many (no room on the stack); no_budget,
// which can in one case come after the thread began: when only the watch for its end was refused,
// it is killed, and its stack stays mapped.
template <typename Function>
Result<RunningThread> start_thread(Function function, const ThreadOptions& options = {}) {
    auto stack = TRY(thread_detail::Stack::create(options.stack_pages));
    void* place = stack.carve(sizeof(Function), alignof(Function));
    if (place == nullptr) return Error::too_many;
    auto* own = new (place) Function(std::move(function));
    auto started = start_on_stack(
        stack,
        [](void* argument) {
            auto* running = static_cast<Function*>(argument);
            (*running)();
            running->~Function();
        },
        own, options);
    if (!started.ok() && !stack.abandoned()) own->~Function();
    return started;
}

}  // namespace annulus
