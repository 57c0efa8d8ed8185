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
//
// The way of a request: reply_and_wait -> its slot's place in `pending_` -> the cookie names who
// takes it -> the coroutine that waits there is resumed and answers -> reply_and_wait. It has a
// budget of instructions (tests/budgets.json), so what it needs stands in this header. Requests
// and units that nobody waits for are kept; deadlines cost something only when they are used.
#pragma once

#include "base/intrusive_list.h"
#include "runtime/coroutine/deadline_queue.h"
#include "runtime/coroutine/task_scope.h"
#include "runtime/coroutine/wait_queue.h"
#include "runtime/server.h"

#include <memory>

namespace annulus {

class EventSource;
class Executor;
class Requests;

namespace executor_detail {

struct PlaceLink;

// A slot of the table, and the request in it. 128 bytes: a slot's place is found by a shift.
struct Pending : TakenRequest {
    union {
        Executor* executor;  // while a task has it
        Pending* next;       // until it is asked for
    };
};
static_assert(sizeof(Pending) == 128);

// What a cookie names: it stays until its objects have ended, and its Requests.
struct Place : ListNode<PlaceLink> {
    WaitQueue* waiting = &nobody;  // of the Requests, or of nobody when they are gone
    uint64_t objects = 0;
    Requests* requests = nullptr;  // null: they are gone
    WaitQueue nobody;
};

// A coroutine that waits: in the queue of what it waits for, and maybe for a deadline. It is made
// where the coroutine says co_await, and destroyed when that is done or the coroutine is.
class Suspended : public WaitQueue::Node, public DeadlineQueue::Entry {
public:
    Suspended() = default;
    ~Suspended() {
        if (waits()) [[unlikely]]
            forget();
    }
    bool await_ready() const { return !waits(); }
    void await_suspend(std::coroutine_handle<> handle) { handle_ = handle.address(); }

    // What it waited for is there, and it is out of the queue: it goes on.
    [[gnu::always_inline]] void go_on() {
        if (state_ == State::waits_until) [[unlikely]]
            DeadlineQueue::leave(*this);
        state_ = State::served;
        resume();
    }
    // It goes on without what it waited for.
    void time_out() { give_up(State::timed_out); }
    void hear_end() { give_up(State::closed); }

    // What it waited for; whoever serves it sets that.
    union {
        Pending* request;
        uint64_t value;
    };

protected:
    void wait(WaitQueue& queue, Executor& executor, Deadline deadline);
    void serve_now() { state_ = State::served; }
    void end_now() { state_ = State::closed; }
    bool served() const { return state_ == State::served; }
    // Why it was not.
    Error error() const { return state_ == State::timed_out ? Error::timed_out : Error::closed; }

private:
    enum class State : uint8_t { served, timed_out, closed, waits, waits_until };

    bool waits() const { return state_ >= State::waits; }
    // Without the checks of std::coroutine_handle: who waits is suspended.
    void resume() const { __builtin_coro_resume(handle_); }
    void give_up(State why);
    [[gnu::noinline, gnu::cold, clang::preserve_most]] void forget();

    State state_;
    void* handle_;  // while it waits
};

// What an awaitable is awaited through.
template <typename Awaitable>
class Waiter;

}  // namespace executor_detail

// A request in a task's hands. One that is dropped without an answer is answered with cancelled.
class Incoming : public Request {
public:
    explicit Incoming(executor_detail::Pending& pending) : Request(pending) {}
    Incoming(Incoming&&) = default;
    Incoming& operator=(Incoming&&) = delete;
    ~Incoming() {
        if (taken_ != nullptr) [[unlikely]]
            drop(*std::exchange(taken_, nullptr));
    }

    // Answers it, once; nothing of it may be looked at afterwards. The client may have left: that
    // is no error. Answer::later() changes nothing.
    void reply(const Answer& answer);

private:
    // Those are rare. They keep the caller's registers, as Request::close_arrived does.
    [[gnu::noinline, gnu::cold, clang::preserve_most]] static void reply_apart(TakenRequest& taken,
                                                                               Answer answer);
    [[gnu::noinline, gnu::cold, clang::preserve_most]] static void drop(TakenRequest& taken);
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

    // co_await: the next request. closed: nobody holds any of the objects any more. timed_out.
    struct [[nodiscard]] Next {
        executor_detail::Waiter<Next> operator co_await() const;
        Requests& requests;
        Deadline deadline;
    };
    Next next(Deadline deadline = Deadline::never()) { return {*this, deadline}; }

private:
    friend class Executor;
    friend class executor_detail::Waiter<Next>;
    void keep(executor_detail::Pending& pending);
    executor_detail::Pending* take_kept();
    void all_closed();

    Executor& executor_;
    WaitQueue waiting_;
    // Requests that nobody has asked for, from the oldest on; none while anybody waits.
    executor_detail::Pending* kept_ = nullptr;
    executor_detail::Pending* kept_last_ = nullptr;  // if there is any
    executor_detail::Place* place_ = nullptr;        // null until there is an object
    bool closed_ = false;
    bool at_once_ = false;  // a request is kept, or closed: nobody has to wait
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

    // co_await: one unit; in sequence mode the new value. timed_out, closed.
    struct [[nodiscard]] Wait {
        executor_detail::Waiter<Wait> operator co_await() const;
        EventSource& source;
        Deadline deadline;
    };
    Wait wait(Deadline deadline = Deadline::never()) { return {*this, deadline}; }

private:
    friend class Executor;
    friend class executor_detail::Waiter<Wait>;
    void arrive(uint64_t value);
    void end();

    Executor& executor_;
    ObjectReference semaphore_;
    WaitQueue waiting_;
    uint64_t units_ = 0;  // that nobody has asked for yet; 0 while anybody waits
    uint64_t value_ = 0;
    bool closed_ = false;
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
    void stop() { stopping_ = beside_ = true; }

    // co_await: until that time.
    struct [[nodiscard]] Sleep {
        executor_detail::Waiter<Sleep> operator co_await() const;
        Executor& executor;
        Deadline deadline;
    };
    Sleep sleep_until(Deadline deadline) { return {*this, deadline}; }

private:
    friend class EventSource;
    friend class Incoming;
    friend class Requests;
    friend class executor_detail::Suspended;
    friend class executor_detail::Waiter<Sleep>;

    Executor(Server server, Set set) : server_(std::move(server)), set_(std::move(set)) {}

    // At most one answer is kept; it leaves with the next sleep.
    void reply(uint64_t request, const Answer& answer) {
        if (answered_ != 0) [[unlikely]]
            flush();
        answered_ = request;
        answer_ = answer;
    }
    [[gnu::noinline, gnu::cold, clang::preserve_most]] void flush();
    void take(const system::Delivery& delivery);
    Result<void> sleep(uint64_t deadline);
    [[gnu::noinline, gnu::cold]] Result<void> take_other(system::Delivery delivery);
    [[gnu::noinline, gnu::cold]] static void nobody_waits(const executor_detail::Place& place,
                                                          executor_detail::Pending& pending);
    static void object_closed(executor_detail::Place& place);
    [[gnu::noinline, gnu::cold, clang::preserve_most]] void add_deadline(
        executor_detail::Suspended& who, Deadline deadline);
    void wake_due();

    Server server_;
    Set set_;
    std::unique_ptr<executor_detail::Pending[]> pending_;  // one for each slot
    IntrusiveList<executor_detail::Place, executor_detail::PlaceLink> places_;
    DeadlineQueue deadlines_;
    WaitQueue sleeping_;
    uint64_t turn_ = 0;      // what is due by then has had its turn
    uint64_t answered_ = 0;  // the request that `answer_` answers; 0: none
    Answer answer_;
    bool stopping_ = false;
    bool beside_ = false;  // there are deadlines, or stop() was called
};

namespace executor_detail {

inline void Suspended::wait(WaitQueue& queue, Executor& executor, Deadline deadline) {
    queue.push_back(*this);
    if (deadline < Deadline::never()) {
        executor.add_deadline(*this, deadline);
        state_ = State::waits_until;
    } else {
        state_ = State::waits;
    }
}

template <>
class Waiter<Requests::Next> : public Suspended {
public:
    Waiter(Requests& requests, Deadline deadline) {
        if (requests.at_once_) [[unlikely]] {
            answer_at_once(requests);
        } else {
            wait(requests.waiting_, requests.executor_, deadline);
        }
    }
    Result<Incoming> await_resume() {
        if (served()) [[likely]] {
            [[assume(request != nullptr)]];
            return Incoming(*request);
        }
        return error();
    }

private:
    [[gnu::noinline, gnu::cold, clang::preserve_most]] void answer_at_once(Requests& requests);
};

template <>
class Waiter<EventSource::Wait> : public Suspended {
public:
    Waiter(EventSource& source, Deadline deadline) {
        if (source.units_ > 0) {
            --source.units_;
            value = source.value_;
            serve_now();
        } else if (source.closed_) [[unlikely]] {
            end_now();
        } else {
            wait(source.waiting_, source.executor_, deadline);
        }
    }
    Result<uint64_t> await_resume() {
        if (served()) [[likely]]
            return value;
        return error();
    }
};

template <>
class Waiter<Executor::Sleep> : public Suspended {
public:
    Waiter(Executor& executor, Deadline deadline) { wait(executor.sleeping_, executor, deadline); }
    void await_resume() {}
};

}  // namespace executor_detail

inline executor_detail::Waiter<Requests::Next> Requests::Next::operator co_await() const {
    return {requests, deadline};
}
inline executor_detail::Waiter<EventSource::Wait> EventSource::Wait::operator co_await() const {
    return {source, deadline};
}
inline executor_detail::Waiter<Executor::Sleep> Executor::Sleep::operator co_await() const {
    return {executor, deadline};
}

inline void Incoming::reply(const Answer& answer) {
    if (taken_ == nullptr) [[unlikely]]
        return;
    if (!answer.plain() || !has_space_for(*taken_, answer)) [[unlikely]] {
        if (!answer.is_later()) reply_apart(*std::exchange(taken_, nullptr), answer);
        return;
    }
    auto& pending = static_cast<executor_detail::Pending&>(*std::exchange(taken_, nullptr));
    // With an error the request's own handles go back. Told apart here, so that an answer that is
    // known when this is compiled needs no memory.
    if (!answer.reply().status.ok() && has_rest(pending)) [[unlikely]]
        return reply_apart(pending, answer);
    close_rest(pending);
    pending.executor->reply(pending.delivery.request, answer);
}

}  // namespace annulus
