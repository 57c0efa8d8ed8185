// SPDX-License-Identifier: MIT
// The executor's loop, and how deliveries find their tasks.
#include "runtime/coroutine/executor.h"

#include "runtime/clock.h"
#include "runtime/program_state.h"

#include <new>

namespace annulus {

using executor_detail::Pending;
using executor_detail::Place;
using executor_detail::Suspended;

namespace {

constexpr Status plain_request;
constexpr Status plain_event(Error::ok, abi::delivery_event);

// Whoever hears it may end what they all wait for, and others of them.
void tell_end(WaitQueue& waiting) {
    WaitQueue all;
    all.take_all(waiting);
    while (WaitQueue::Node* next = all.front()) static_cast<Suspended*>(next)->hear_end();
}

// Safety: cookies are addresses that make_object gave the kernel, and come back unchanged; a place
// stays until the close notices of all its objects have come.
Place& place_of(const system::Delivery& delivery) {
    return *reinterpret_cast<Place*>(delivery.cookie);
}

void end_place(Place& place) {
    IntrusiveList<Place, executor_detail::PlaceLink>::remove(place);
    delete &place;
}

// Safety: the key is the address that attach() gave the kernel; detach() took it back before the
// source went.
EventSource& source_of(const system::Delivery& delivery) {
    return *reinterpret_cast<EventSource*>(delivery.cookie);
}

}  // namespace

Executor::~Executor() {
    if (answered_ != 0) flush();
    while (Place* place = places_.pop_front()) delete place;
}

Result<std::unique_ptr<Executor>> Executor::create(const ExecutorOptions& options) {
    Server server = TRY(Server::create(options.slots, options.block_bytes));
    Set set = TRY(program_state.budget.create_set(options.events));
    TRY(server.table().set_events(set));
    std::unique_ptr<Executor> executor(new (std::nothrow)
                                           Executor(std::move(server), std::move(set)));
    if (executor == nullptr) return Error::no_memory;
    executor->pending_.reset(new (std::nothrow) Pending[options.slots]);
    if (executor->pending_ == nullptr) return Error::no_memory;
    for (unsigned slot = 0; slot < options.slots; ++slot) {
        executor->pending_[slot].block = executor->server_.block_of(slot);
        executor->pending_[slot].executor = executor.get();
    }
    return executor;
}

// --- waiting

void Suspended::forget() {
    WaitQueue::remove(*this);
    if (state_ == State::waits_until) DeadlineQueue::leave(*this);
}

void Suspended::give_up(State why) {
    forget();
    state_ = why;
    resume();
}

// A deadline that has passed comes after those that have their turn now, and after a sleep: tasks
// that ask for no time again and again keep nobody else waiting.
void Executor::add_deadline(Suspended& who, Deadline deadline) {
    deadlines_.add(who, deadline.at > turn_ ? deadline.at : turn_ + 1);
    beside_ = true;
}

// What comes due while tasks run has its turn after the next sleep.
void Executor::wake_due() {
    turn_ = now();
    while (DeadlineQueue::Entry* entry = deadlines_.earliest()) {
        if (entry->at() > turn_) return;
        static_cast<Suspended*>(entry)->time_out();
    }
}

// --- answers

// The table's own errors show at the next sleep.
void Executor::flush() { static_cast<void>(server_.reply(std::exchange(answered_, 0), answer_)); }

// Handles, of the answer or of the request; or more bytes than the client has room for: that would
// break the protocol and fault the table.
void Incoming::reply_apart(TakenRequest& taken, Answer answer) {
    auto& pending = static_cast<Pending&>(taken);
    if (!has_space_for(taken, answer)) {
        close_moved(answer);
        answer = Error::faulted;
    }
    settle_rest(taken, answer);
    static_cast<void>(pending.executor->server_.reply(pending.delivery.request, answer));
}

void Incoming::drop(TakenRequest& taken) {
    Incoming(static_cast<Pending&>(taken)).reply(Error::cancelled);
}

// --- deliveries

// What is inlined below is on every request's or event's way.

[[gnu::always_inline]] inline void EventSource::arrive(uint64_t value) {
    value_ = value;
    WaitQueue::Node* const next = waiting_.pop_front();
    if (next == nullptr) [[unlikely]] {
        ++units_;
        return;
    }
    auto& waiter = *static_cast<Suspended*>(next);
    waiter.value = value;
    waiter.go_on();
}

[[gnu::always_inline]] inline void Executor::take(const system::Delivery& delivery) {
    Pending& pending = pending_[abi::request_slot(delivery.request)];
    pending.delivery = delivery;
    const Place& place = place_of(delivery);
    WaitQueue::Node* const next = place.waiting->pop_front();
    if (next == nullptr) [[unlikely]]
        return nobody_waits(place, pending);
    auto& waiter = *static_cast<Suspended*>(next);
    waiter.request = &pending;
    waiter.go_on();
}

void Executor::nobody_waits(const Place& place, Pending& pending) {
    if (place.requests != nullptr) return place.requests->keep(pending);
    Incoming(pending).reply(Error::closed);
}

// Errors, close notices, the ends of sources, and requests whose reply half has an outcome.
Result<void> Executor::take_other(system::Delivery delivery) {
    const Status status = delivery.status;
    if (!status.ok()) {
        const bool harmless =
            status.code() == Error::timed_out || status.code() == Error::try_again;
        return harmless ? Result<void>() : status;
    }
    if ((status.detail() & abi::delivery_event_closed) != 0) {
        source_of(delivery).end();
    } else if ((status.detail() & abi::delivery_event) != 0) {
        source_of(delivery).arrive(delivery.words[0]);
    } else if ((status.detail() & abi::delivery_close) != 0) {
        object_closed(place_of(delivery));
    } else {
        take(delivery);
    }
    return {};
}

[[gnu::always_inline]] inline Result<void> Executor::sleep(uint64_t deadline) {
    const system::Delivery delivery = system::reply_and_wait(
        server_.table().value(), std::exchange(answered_, 0), answer_.reply(), deadline);
    if (delivery.status == plain_request) [[likely]] {
        take(delivery);
    } else if (delivery.status == plain_event) [[likely]] {
        source_of(delivery).arrive(delivery.words[0]);
    } else {
        return take_other(delivery);
    }
    return {};
}

Result<void> Executor::run() {
    stopping_ = false;
    for (;;) {
        if (!beside_) [[likely]] {
            TRY(sleep(abi::deadline_never));
            continue;
        }
        if (stopping_) break;
        beside_ = !deadlines_.empty();
        if (!beside_) continue;
        // One that has passed waits for one look at what came before it.
        const uint64_t deadline = deadlines_.earliest()->at();
        TRY(sleep(deadline > turn_ + 1 ? deadline : abi::deadline_poll));
        wake_due();
    }
    if (answered_ != 0) flush();
    return {};
}

// --- requests

Requests::~Requests() {
    while (kept_ != nullptr) Incoming(*take_kept()).reply(Error::closed);
    if (place_ == nullptr) return;
    place_->requests = nullptr;
    place_->waiting = &place_->nobody;
    if (place_->objects == 0) end_place(*place_);
}

Result<Served> Requests::make_object(abi::Rights rights, uint64_t payer) {
    if (place_ == nullptr) {
        place_ = new (std::nothrow) Place;
        if (place_ == nullptr) return Error::no_memory;
        place_->requests = this;
        place_->waiting = &waiting_;
        executor_.places_.push_back(*place_);
    }
    const auto cookie = reinterpret_cast<uint64_t>(place_);
    Served object = TRY(executor_.server_.table().create_object(cookie, rights, payer));
    ++place_->objects;
    closed_ = false;
    at_once_ = kept_ != nullptr;
    return object;
}

void Requests::keep(Pending& pending) {
    at_once_ = true;
    pending.next = nullptr;
    (kept_ == nullptr ? kept_ : kept_last_->next) = &pending;
    kept_last_ = &pending;
}

Pending* Requests::take_kept() {
    Pending* const oldest = std::exchange(kept_, kept_->next);
    oldest->executor = &executor_;
    at_once_ = kept_ != nullptr || closed_;
    return oldest;
}

void executor_detail::Waiter<Requests::Next>::answer_at_once(Requests& requests) {
    if (requests.kept_ == nullptr) return end_now();
    request = requests.take_kept();
    serve_now();
}

void Executor::object_closed(Place& place) {
    if (--place.objects > 0) return;
    if (place.requests != nullptr) return place.requests->all_closed();
    end_place(place);
}

void Requests::all_closed() {
    closed_ = at_once_ = true;
    tell_end(waiting_);
}

// --- events

Result<void> EventSource::attach(ObjectReference semaphore, uint64_t seen) {
    if (!semaphore_.empty()) return Error::busy;
    TRY(executor_.set_.create_member(semaphore, reinterpret_cast<uint64_t>(this), seen));
    semaphore_ = semaphore;
    units_ = 0;
    closed_ = false;
    return {};
}

void EventSource::detach() {
    if (semaphore_.empty()) return;
    static_cast<void>(executor_.set_.remove_member(semaphore_));
    semaphore_ = ObjectReference();
}

void EventSource::end() {
    closed_ = true;
    semaphore_ = ObjectReference();
    tell_end(waiting_);
}

}  // namespace annulus
