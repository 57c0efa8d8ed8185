// SPDX-License-Identifier: MIT
// TaskScope: tasks that run beside each other, and end with the scope at the latest.
//
//   TaskScope scope;
//   TRY(scope.spawn(serve(requests)));
//   TRY(scope.spawn(watch(bell)));
//   ...                       // what is not done when the scope ends is cancelled
//
// Lifetime: a scope must not end from inside one of its own tasks. Tasks that are done free their
// frames at once.
#pragma once

#include "base/intrusive_list.h"
#include "runtime/coroutine/task.h"

namespace annulus {

class TaskScope {
public:
    TaskScope() = default;
    TaskScope(const TaskScope&) = delete;
    TaskScope& operator=(const TaskScope&) = delete;
    ~TaskScope() { cancel(); }

    // Runs the task until it waits for the first time. no_memory. What it answers later is looked
    // at by failure() only.
    Result<void> spawn(Task<void> task) {
        if (!task.exists()) return Error::no_memory;
        const Root root = run(*this, std::move(task));
        if (root.frame == nullptr) return Error::no_memory;
        roots_.push_back(root.frame.promise());
        ++running_;
        root.frame.resume();
        return {};
    }

    // Ends every task that is not done, the youngest first.
    void cancel() {
        while (RootPromise* root = roots_.pop_back()) {
            --running_;
            std::coroutine_handle<RootPromise>::from_promise(*root).destroy();
        }
    }

    unsigned running() const { return running_; }
    // The first error that a task ended with; ok if there was none.
    Status failure() const { return failure_; }

private:
    struct RootLink;
    struct RootPromise;
    struct Root {
        // NOLINTNEXTLINE(readability-identifier-naming): the name that the language looks for
        using promise_type = RootPromise;
        std::coroutine_handle<RootPromise> frame;
    };
    // The frame around a spawned task. It destroys itself when the task is done.
    struct RootPromise : ListNode<RootLink> {
        Root get_return_object() {
            return {std::coroutine_handle<RootPromise>::from_promise(*this)};
        }
        static Root get_return_object_on_allocation_failure() { return {nullptr}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() const noexcept { return {}; }
        [[noreturn]] void unhandled_exception() const noexcept { __builtin_trap(); }
        void return_void() const {}
        RootPromise(TaskScope& scope, const Task<void>&) : scope(scope) {}
        TaskScope& scope;
        // Reached when the frame ends by itself or is cancelled.
        ~RootPromise() {
            if (!linked()) return;
            IntrusiveList<RootPromise, RootLink>::remove(*this);
            --scope.running_;
        }
    };

    static Root run(TaskScope& scope, Task<void> task) {
        const Result<void> result = co_await task;
        if (!result.ok() && scope.failure_.ok()) scope.failure_ = result.status();
    }

    IntrusiveList<RootPromise, RootLink> roots_;
    unsigned running_ = 0;
    Status failure_;
};

}  // namespace annulus
