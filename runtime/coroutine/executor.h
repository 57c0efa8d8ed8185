// SPDX-License-Identifier: MIT
// Executor: runs the tasks of one thread. It sleeps in one place, reply_and_wait on a table with a
// bound set, and so serves requests, events and deadlines alike.
//
//   Task<void> serve(Requests& requests, EventSource& tick) {
//       for (;;) {
//           Incoming request = CO_TRY(co_await requests.next());
//           CO_TRY(co_await tick.wait());
//           request.reply(Answer::with_words(++count));   // whenever, in any order
//       }
//   }
//
//   auto executor = TRY(Executor::create({.slots = 8}));
//   Requests requests(*executor);
//   EventSource tick(*executor);
//   TRY(tick.attach(bell));
//   const Served object = TRY(requests.make_object());      // hand it to a client
//   TaskScope scope;
//   TRY(scope.spawn(serve(requests, tick)));
//   return executor->run();
//
// Nothing is allocated while it runs but the frames of tasks. A task that waits may be destroyed:
// what it waited for forgets it. An answer leaves with the next sleep, so a request costs two
// kernel entries in all; a second answer before that costs one of its own.
// Everything here belongs to one thread.
#pragma once

#include "base/intrusive_list.h"
#include "runtime/coroutine/deadline_queue.h"
#include "runtime/coroutine/task_scope.h"
#include "runtime/server.h"

#include <memory>

namespace annulus {

class EventSource;
class Executor;
class Requests;

namespace executor_detail {

struct WaitLink;
struct PendingLink;

// A coroutine that waits: in the list of what it waits for, and maybe for a deadline.
class Suspended : public ListNode<WaitLink>, public DeadlineQueue::Entry {
public:
    explicit Suspended(Executor& executor) : executor_(executor) {}
    ~Suspended() { forget(); }

    // Out of both, and on its way.
    void wake() {
        forget();
        handle_.resume();
    }
    void time_out() {
        timed_out_ = true;
        wake();
    }

protected:
    void suspend(std::coroutine_handle<> handle, Deadline deadline);
    void forget();

    Executor& executor_;
    std::coroutine_handle<> handle_;
    bool timed_out_ = false;
};

// A request that was taken and not yet asked for.
struct Pending : ListNode<PendingLink> {
    system::Delivery delivery;
};

}  // namespace executor_detail

// A request in a task's hands. One that is dropped without an answer is answered with cancelled.
class Incoming : public Request {
public:
    Incoming(Executor& executor, const system::Delivery& delivery, std::span<std::byte> block)
        : Request(delivery, block), executor_(&executor) {}
    // NOLINTBEGIN(bugprone-use-after-move): only the Request in it was moved
    Incoming(Incoming&& other)
        : Request(std::move(other)), executor_(std::exchange(other.executor_, nullptr)) {}
    // NOLINTEND(bugprone-use-after-move)
    Incoming& operator=(Incoming&&) = delete;
    ~Incoming();

    // Answers it, once. The client may have left: that is no error.
    void reply(const Answer& answer);

private:
    Executor* executor_;  // null: answered, or moved away
};

// The requests for the objects that one task serves.
class Requests {
public:
    explicit Requests(Executor& executor) : executor_(executor) {}
    Requests(const Requests&) = delete;
    Requests& operator=(const Requests&) = delete;
    // Requests that nobody took, and later ones, are answered with closed.
    ~Requests();

    // A handle to a new object whose requests arrive here. The record is paid by this program, or
    // by the client of the taken request `payer`. no_memory, no_budget.
    Result<Served> make_object(abi::Rights rights = abi::all_rights, uint64_t payer = 0);

    class Next;
    // co_await: the next request. closed: nobody holds any of the objects any more. timed_out.
    Next next(Deadline deadline = Deadline::never());

private:
    friend class Executor;
    void arrive(executor_detail::Pending& pending);
    void object_closed();

    Executor& executor_;
    IntrusiveList<executor_detail::Pending, executor_detail::PendingLink> pending_;
    IntrusiveList<executor_detail::Suspended, executor_detail::WaitLink> waiting_;
    uint64_t cookie_ = 0;  // 0: not registered
    uint64_t objects_ = 0;
    bool closed_ = false;
};

class [[nodiscard]] Requests::Next : public executor_detail::Suspended {
public:
    Next(Requests& requests, Deadline deadline)
        : Suspended(requests.executor_), requests_(requests), deadline_(deadline) {}
    bool await_ready() const { return !requests_.pending_.empty() || requests_.closed_; }
    void await_suspend(std::coroutine_handle<> handle) {
        requests_.waiting_.push_back(*this);
        suspend(handle, deadline_);
    }
    Result<Incoming> await_resume();

private:
    Requests& requests_;
    Deadline deadline_;
};

// A semaphore or the end of a channel, for tasks to wait for.
class EventSource {
public:
    explicit EventSource(Executor& executor) : executor_(executor) {}
    EventSource(const EventSource&) = delete;
    EventSource& operator=(const EventSource&) = delete;
    ~EventSource() { detach(); }

    // From now on its units come here, asked for or not. The handle stays the caller's and open
    // until detach(). `seen`: sequence mode. busy: it is attached somewhere. limit.
    Result<void> attach(ObjectReference semaphore, uint64_t seen = 0);
    void detach();

    class Wait;
    // co_await: one unit; in sequence mode the new value. timed_out, closed.
    Wait wait(Deadline deadline = Deadline::never());

private:
    friend class Executor;
    void arrive(uint64_t value, bool closed);

    Executor& executor_;
    ObjectReference semaphore_;
    IntrusiveList<executor_detail::Suspended, executor_detail::WaitLink> waiting_;
    uint64_t units_ = 0;  // that nobody has asked for yet
    uint64_t value_ = 0;
    bool closed_ = false;
};

class [[nodiscard]] EventSource::Wait : public executor_detail::Suspended {
public:
    Wait(EventSource& source, Deadline deadline)
        : Suspended(source.executor_), source_(source), deadline_(deadline) {}
    bool await_ready() const { return source_.units_ > 0 || source_.closed_; }
    void await_suspend(std::coroutine_handle<> handle) {
        source_.waiting_.push_back(*this);
        suspend(handle, deadline_);
    }
    Result<uint64_t> await_resume() {
        if (source_.units_ > 0) {
            --source_.units_;
            return source_.value_;
        }
        return timed_out_ ? Error::timed_out : Error::closed;
    }

private:
    EventSource& source_;
    Deadline deadline_;
};

struct ExecutorOptions {
    unsigned slots = 16;     // requests at a time
    size_t block_bytes = 0;  // for the data of each, as Server::create
    unsigned events = 64;    // sources attached at a time
};

class Executor {
public:
    // Needs the handles `budget` and `process`. not_granted, no_budget, no_memory, bad_argument.
    static Result<std::unique_ptr<Executor>> create(const ExecutorOptions& options = {});
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;
    // Everything attached to it is gone by then.
    ~Executor();

    // Runs tasks until stop() or an error of the table.
    Result<void> run();
    // From inside a task: run() returns when the task waits.
    void stop() { stopping_ = true; }

    class Sleep;
    // co_await: until that time.
    Sleep sleep_until(Deadline deadline);

private:
    friend class EventSource;
    friend class Incoming;
    friend class Requests;
    friend class executor_detail::Suspended;

    // What a cookie names. A place that was given up has another generation.
    struct Place {
        Requests* requests = nullptr;
        uint32_t generation = 1;
        uint32_t next_free = 0;  // index + 1
    };

    Executor(Server server, Set set) : server_(std::move(server)), set_(std::move(set)) {}

    Result<uint64_t> register_requests(Requests& requests);
    void unregister_requests(uint64_t cookie);
    Requests* requests_of(uint64_t cookie) const;
    bool more_places();

    void reply(uint64_t request, const Answer& answer);
    void flush();
    void dispatch(const system::Delivery& delivery);
    void dispatch_request(const system::Delivery& delivery);
    void wake_due();

    Server server_;
    Set set_;
    std::unique_ptr<executor_detail::Pending[]> pending_;  // one for each slot
    std::unique_ptr<Place[]> places_;
    uint32_t place_count_ = 0;
    uint32_t free_place_ = 0;  // index + 1
    DeadlineQueue deadlines_;
    uint64_t answered_ = 0;  // the request that `answer_` answers; 0: none
    Answer answer_;
    bool stopping_ = false;
};

class [[nodiscard]] Executor::Sleep : public executor_detail::Suspended {
public:
    Sleep(Executor& executor, Deadline deadline) : Suspended(executor), deadline_(deadline) {}
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) { suspend(handle, deadline_); }
    void await_resume() const {}

private:
    Deadline deadline_;
};

inline Executor::Sleep Executor::sleep_until(Deadline deadline) { return {*this, deadline}; }
inline Requests::Next Requests::next(Deadline deadline) { return {*this, deadline}; }
inline EventSource::Wait EventSource::wait(Deadline deadline) { return {*this, deadline}; }

namespace executor_detail {

inline void Suspended::suspend(std::coroutine_handle<> handle, Deadline deadline) {
    handle_ = handle;
    if (deadline < Deadline::never()) executor_.deadlines_.add(*this, deadline.at);
}

inline void Suspended::forget() {
    if (linked()) IntrusiveList<Suspended, WaitLink>::remove(*this);
    if (queued()) executor_.deadlines_.remove(*this);
}

}  // namespace executor_detail

}  // namespace annulus
