// SPDX-License-Identifier: MIT
// A listening TCP port.
#include "services/net/stack/listener.h"

#include <new>

namespace annulus::net {

Listener::~Listener() {
    if (listed_) owner_.remove(*this, Kind::listener);
}

Error Listener::create(SocketOwner& owner, uint16_t port, Listener*& listener) {
    auto* made = new (std::nothrow) Listener(owner, port);
    if (made == nullptr) return Error::no_memory;
    Error error = owner.add(*made, Kind::listener);
    made->listed_ = error == Error::ok;
    if (error == Error::ok) error = made->listen();
    if (error != Error::ok) {
        delete made;
        return error;
    }
    listener = made;
    return Error::ok;
}

Error Listener::listen() {
    tcp_pcb* const pcb = tcp_new();
    if (pcb == nullptr) return Error::limit;
    // Old connections of the port in TIME_WAIT are no obstacle; another listener is.
    ip_set_option(pcb, SOF_REUSEADDR);
    if (tcp_bind(pcb, IP_ANY_TYPE, port_) != ERR_OK) {
        static_cast<void>(tcp_close(pcb));
        return Error::exists;
    }
    err_t why = ERR_OK;
    pcb_ = tcp_listen_with_backlog_and_err(pcb, abi::net_backlog_max, &why);
    if (pcb_ == nullptr) {
        static_cast<void>(tcp_close(pcb));
        return why == ERR_USE ? Error::exists : Error::limit;
    }
    tcp_arg(pcb_, this);
    tcp_accept(pcb_, arrived);
    return Error::ok;
}

err_t Listener::arrived(void* self, tcp_pcb* pcb, err_t error) {
    auto& listener = *static_cast<Listener*>(self);
    if (pcb == nullptr || error != ERR_OK) return ERR_VAL;
    // lwIP resets a connection that is refused here.
    if (listener.waiting_count_ == abi::net_backlog_max) return ERR_MEM;
    Connection* connection = Connection::accepted(listener.owner_, pcb, listener);
    if (connection == nullptr) return ERR_MEM;
    listener.waiting_[listener.waiting_count_++] = connection;
    listener.answer_accepts();
    return ERR_OK;
}

Outcome Listener::handle(const Call& call) {
    if (call.is(abi::Verb::accept, abi::net_accept)) {
        if (accepts_.full()) return Error::limit;
        std::unique_ptr<ClientStream> stream;
        if (call.brought != nullptr) {
            auto taken = take_channel(owner_, *this, *call.brought);
            if (!taken.ok()) return taken.status();
            stream = std::move(taken).value();
        }
        accepts_.add(call, 0, std::move(stream));
        owner_.note_deadline(call.deadline);
        answer_accepts();
        return Outcome::later();
    }
    if (call.is(abi::Verb::get, abi::net_get)) {
        return answer_record(
            call, abi::ListenerState{port_, static_cast<uint32_t>(waiting_count_), accepted_});
    }
    return Error::bad_operation;
}

void Listener::answer_accepts() {
    while (!accepts_.empty() && waiting_count_ > 0) {
        PendingCall accept = accepts_.take_first();
        Connection& connection = *waiting_[0];
        const Error error = connection.hand_out(accept.id, std::move(accept.stream));
        if (error != Error::ok) {
            static_cast<void>(owner_.answers().answer(accept.id, error));
            continue;
        }
        forget(connection);
        Outcome outcome;
        outcome.opened = &connection;
        if (owner_.answers().answer(accept.id, outcome)) {
            accepted_++;
        } else {
            // Who has left, maybe since its time was up, took nothing: the next one gets it.
            connection.take_back(*this);
            wait_first(connection);
        }
    }
}

void Listener::wait_first(Connection& connection) {
    auto* const end = waiting_.begin() + waiting_count_;
    std::copy_backward(waiting_.begin(), end, end + 1);
    waiting_[0] = &connection;
    waiting_count_++;
}

void Listener::forget(Connection& connection) {
    auto* const end = waiting_.begin() + waiting_count_;
    auto* const rest = std::remove(waiting_.begin(), end, &connection);
    waiting_count_ = static_cast<size_t>(rest - waiting_.begin());
}

abi::Rights Listener::rights() const {
    return abi::right_of(abi::Verb::accept) | abi::right_of(abi::Verb::get);
}

void Listener::closed() {
    accepts_.answer_all(owner_.answers(), Error::closed);
    // First the listener: lwIP's records of its connections refer to it.
    if (pcb_ != nullptr) static_cast<void>(tcp_close(pcb_));
    pcb_ = nullptr;
    while (waiting_count_ > 0) {
        Connection& connection = *waiting_[0];
        forget(connection);
        connection.closed();
    }
    delete this;
}

uint64_t Listener::expire(uint64_t now) { return accepts_.expire(owner_.answers(), now); }

}  // namespace annulus::net
