// SPDX-License-Identifier: MIT
// Task<T>: a coroutine that begins when it is awaited or spawned, and gives a Result<T>.
//
//   Task<uint64_t> sum(Numbers& numbers) {
//       const uint64_t first = CO_TRY(co_await numbers.next());
//       const uint64_t second = CO_TRY(co_await numbers.next());
//       co_return first + second;
//   }
//
// A task is owned by its Task object, and destroying that destroys the frame wherever the coroutine
// stands: everything in its scopes is destroyed, and what it waited for forgets it. So cancellation
// is the end of a scope. A frame comes from the heap; a task whose frame could not be had gives
// no_memory when it is awaited.
// A frame must not outlive what its parameters refer to; tasks are resumed by one thread.
#pragma once

#include "base/coroutine_try.h"

#include <coroutine>
#include <new>
#include <optional>
#include <utility>

namespace annulus {

template <typename T = void>
class Task;

namespace task_detail {

// What all tasks have in common: who goes on when the coroutine is done.
struct PromiseBase {
    // Hands control to who awaits, without growing the stack.
    struct Done {
        bool await_ready() const noexcept { return false; }
        template <typename Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
            return self.promise().continuation;
        }
        void await_resume() const noexcept {}
    };

    std::suspend_always initial_suspend() const noexcept { return {}; }
    Done final_suspend() const noexcept { return {}; }
    [[noreturn]] void unhandled_exception() const noexcept { __builtin_trap(); }

    std::coroutine_handle<> continuation = std::noop_coroutine();
};

template <typename T>
struct Promise : PromiseBase {
    Task<T> get_return_object() {
        return Task<T>(std::coroutine_handle<Promise>::from_promise(*this));
    }
    static Task<T> get_return_object_on_allocation_failure() { return Task<T>(nullptr); }
    void return_value(Result<T> value) { result.emplace(std::move(value)); }

    std::optional<Result<T>> result;
};

}  // namespace task_detail

template <typename T>
class [[nodiscard]] Task {
public:
    // NOLINTNEXTLINE(readability-identifier-naming): the name that the language looks for
    using promise_type = task_detail::Promise<T>;

    Task(Task&& other) : frame_(std::exchange(other.frame_, nullptr)) {}
    Task& operator=(Task&& other) {
        std::swap(frame_, other.frame_);
        return *this;
    }
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    ~Task() {
        if (frame_ != nullptr) frame_.destroy();
    }

    // False: there was no memory for its frame.
    bool exists() const { return frame_ != nullptr; }

    // Awaiting starts it, once, and answers its result.
    bool await_ready() const { return frame_ == nullptr; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) const {
        frame_.promise().continuation = awaiting;
        return frame_;
    }
    Result<T> await_resume() const {
        if (frame_ == nullptr) return Error::no_memory;
        return std::move(*frame_.promise().result);
    }

private:
    friend promise_type;
    explicit Task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}

    std::coroutine_handle<promise_type> frame_;
};

}  // namespace annulus
