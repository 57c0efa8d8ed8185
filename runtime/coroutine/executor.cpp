// SPDX-License-Identifier: MIT
// The executor's loop, and how deliveries find their tasks.
#include "runtime/coroutine/executor.h"

#include "runtime/clock.h"
#include "runtime/program_state.h"

#include <new>

namespace annulus {

using executor_detail::Pending;
using executor_detail::Suspended;

namespace {

// Whoever is woken may end what they all wait for, and others of them.
void wake_all(IntrusiveList<Suspended, executor_detail::WaitLink>& waiting) {
    IntrusiveList<Suspended, executor_detail::WaitLink> all;
    all.splice_back(waiting);
    while (Suspended* next = all.front()) next->wake();
}

}  // namespace

Executor::~Executor() {
    if (answered_ != 0) flush();
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
    return executor;
}

// --- cookies

bool Executor::more_places() {
    const uint32_t wanted = place_count_ == 0 ? 8 : 2 * place_count_;
    std::unique_ptr<Place[]> places(new (std::nothrow) Place[wanted]);
    if (places == nullptr) return false;
    for (uint32_t i = 0; i < wanted; ++i) {
        if (i < place_count_) {
            places[i] = places_[i];
        } else {
            places[i].next_free = i + 1 < wanted ? i + 2 : free_place_;
        }
    }
    free_place_ = place_count_ + 1;
    place_count_ = wanted;
    places_ = std::move(places);
    return true;
}

Result<uint64_t> Executor::register_requests(Requests& requests) {
    if (free_place_ == 0 && !more_places()) return Error::no_memory;
    const uint32_t index = free_place_ - 1;
    Place& place = places_[index];
    free_place_ = place.next_free;
    place.requests = &requests;
    return uint64_t{place.generation} << 32 | index;
}

void Executor::unregister_requests(uint64_t cookie) {
    const auto index = static_cast<uint32_t>(cookie);
    Place& place = places_[index];
    place.requests = nullptr;
    if (++place.generation == 0) return;  // a place is retired before its generation wraps
    place.next_free = free_place_;
    free_place_ = index + 1;
}

Requests* Executor::requests_of(uint64_t cookie) const {
    const Place& place = places_[static_cast<uint32_t>(cookie)];
    return place.generation == cookie >> 32 ? place.requests : nullptr;
}

// --- answers

void Executor::reply(uint64_t request, const Answer& answer) {
    if (answered_ != 0) flush();
    answered_ = request;
    answer_ = answer;
    if (answer.moves_handles()) flush();
}

// The table's own errors show at the next sleep.
void Executor::flush() { static_cast<void>(server_.reply(std::exchange(answered_, 0), answer_)); }

void Incoming::reply(const Answer& answer) {
    Executor* executor = std::exchange(executor_, nullptr);
    if (executor == nullptr) return;
    // More bytes than the client has room for would break the protocol and fault the table.
    if (answer.reply().bytes_out <= space().size()) return executor->reply(id(), answer);
    close_moved(answer);
    executor->reply(id(), Error::faulted);
}

Incoming::~Incoming() { reply(Error::cancelled); }

// --- deliveries

void Executor::wake_due() {
    if (deadlines_.empty()) return;
    // What comes due while tasks run has its turn after the next sleep.
    const uint64_t until = now();
    while (DeadlineQueue::Entry* entry = deadlines_.earliest()) {
        if (entry->at() > until) return;
        static_cast<Suspended*>(entry)->time_out();
    }
}

void Executor::dispatch_request(const system::Delivery& delivery) {
    Requests* requests = requests_of(delivery.cookie);
    if ((delivery.status.detail() & abi::delivery_close) != 0) {
        if (requests != nullptr) requests->object_closed();
        return;
    }
    Pending& pending = pending_[abi::request_slot(delivery.request)];
    pending.delivery = delivery;
    if (requests != nullptr) return requests->arrive(pending);
    const Request unwanted(pending.delivery, {});  // closes what came with it
    reply(delivery.request, Error::closed);
}

void Executor::dispatch(const system::Delivery& delivery) {
    const uint16_t detail = delivery.status.detail();
    if ((detail & abi::delivery_event) == 0) return dispatch_request(delivery);
    // Safety: the key is the address that attach() gave the kernel; detach() took it back before
    // the source went.
    auto& source = *reinterpret_cast<EventSource*>(delivery.cookie);
    source.arrive(delivery.words[0], (detail & abi::delivery_event_closed) != 0);
}

Result<void> Executor::run() {
    stopping_ = false;
    while (!stopping_) {
        const uint64_t deadline =
            deadlines_.empty() ? abi::deadline_never : deadlines_.earliest()->at();
        const uint64_t answered = std::exchange(answered_, 0);
        const system::Delivery delivery =
            system::reply_and_wait(server_.table().value(), answered, answer_.reply(), deadline);
        if (delivery.status.ok()) [[likely]] {
            dispatch(delivery);
        } else if (delivery.status.code() != Error::timed_out &&
                   delivery.status.code() != Error::try_again) {
            return delivery.status;
        }
        wake_due();
    }
    if (answered_ != 0) flush();
    return {};
}

// --- requests

Requests::~Requests() {
    while (Pending* pending = pending_.pop_front()) {
        const Request unwanted(pending->delivery, {});  // closes what came with it
        executor_.reply(pending->delivery.request, Error::closed);
    }
    if (cookie_ != 0) executor_.unregister_requests(cookie_);
}

Result<Served> Requests::make_object(abi::Rights rights, uint64_t payer) {
    if (cookie_ == 0) cookie_ = TRY(executor_.register_requests(*this));
    Served object = TRY(executor_.server_.table().create_object(cookie_, rights, payer));
    ++objects_;
    closed_ = false;
    return object;
}

void Requests::arrive(Pending& pending) {
    pending_.push_back(pending);
    if (Suspended* next = waiting_.front()) next->wake();
}

void Requests::object_closed() {
    if (--objects_ > 0) return;
    closed_ = true;
    wake_all(waiting_);
}

Result<Incoming> Requests::Next::await_resume() {
    if (Pending* pending = requests_.pending_.pop_front()) {
        return Incoming(executor_, pending->delivery,
                        executor_.server_.block_of(pending->delivery.request));
    }
    return timed_out_ ? Error::timed_out : Error::closed;
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

void EventSource::arrive(uint64_t value, bool closed) {
    if (closed) {
        closed_ = true;
        semaphore_ = ObjectReference();
        return wake_all(waiting_);
    }
    ++units_;
    value_ = value;
    if (Suspended* next = waiting_.front()) next->wake();
}

}  // namespace annulus
