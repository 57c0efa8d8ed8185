// SPDX-License-Identifier: MIT
// A TCP connection as a stream.
#include "services/net/stack/connection.h"

#include <new>

#include <lwip/dns.h>

#include "abi/stream.h"

namespace annulus::net {
namespace {

constexpr u8_t poll_interval = 4;  // of lwIP's half seconds
constexpr uintptr_t forget_polls = abi::net_linger_seconds / 2;
constexpr uint64_t linger_time = uint64_t{abi::net_linger_seconds} * 1'000'000'000;

uint64_t word_of(const ip_addr_t& address, uint16_t port) {
    return abi::peer_word(lwip_ntohl(ip4_addr_get_u32(&address)), port);
}

Connection& object(void* self) { return *static_cast<Connection*>(self); }

// Why tcp_connect did not begin.
Error refusal_of(err_t error) {
    switch (error) {
        case ERR_RTE: return Error::no_route;
        case ERR_BUF: return Error::limit;   // no port is left
        case ERR_USE: return Error::exists;  // this pair of addresses and ports is in use
        default: return Error::no_memory;
    }
}

}  // namespace

Connection::~Connection() {
    if (listed_) owner_.remove(*this, Kind::connection);
}

// Null: there are too many, or no memory.
std::unique_ptr<Connection, void (*)(Connection*)> Connection::make(SocketOwner& owner) {
    constexpr auto destroy = [](Connection* connection) { delete connection; };
    std::unique_ptr<Connection, void (*)(Connection*)> made(new (std::nothrow) Connection(owner),
                                                            destroy);
    if (made == nullptr) return made;
    if (owner.add(*made, Kind::connection) != Error::ok) {
        made.reset();
    } else {
        made->listed_ = true;
    }
    return made;
}

bool Connection::take_pcb(tcp_pcb* pcb) {
    if (pcb == nullptr) return false;
    pcb_ = pcb;
    tcp_arg(pcb, this);
    tcp_recv(pcb, received);
    tcp_sent(pcb, sent);
    tcp_err(pcb, failed);
    return true;
}

Connection* Connection::accepted(SocketOwner& owner, tcp_pcb* pcb, Backlog& backlog) {
    auto made = make(owner);
    if (made == nullptr || !made->take_pcb(pcb)) return nullptr;
    made->backlog_ = &backlog;
    made->peer_ = word_of(pcb->remote_ip, pcb->remote_port);
    made->local_ = word_of(pcb->local_ip, pcb->local_port);
    tcp_backlog_delayed(pcb);
    return made.release();
}

Error Connection::hand_out(uint64_t request, std::unique_ptr<ClientStream> stream) {
    const Error error = owner_.admit(*this, Kind::connection, request);
    if (error != Error::ok) return error;
    if (stream != nullptr) {
        // It counted for the listener's client.
        stream->set_place({});
        auto place = owner_.place_for_stream(*this);
        if (!place.ok()) {
            owner_.dismiss(*this, Kind::connection);
            return place.error();
        }
        stream->set_place(std::move(place).value());
    }
    backlog_ = nullptr;
    if (pcb_ != nullptr) tcp_backlog_accepted(pcb_);
    if (stream != nullptr) take_stream(std::move(stream));
    return Error::ok;
}

void Connection::take_back(Backlog& backlog) {
    stream_.reset();
    owner_.dismiss(*this, Kind::connection);
    backlog_ = &backlog;
    if (pcb_ != nullptr) tcp_backlog_delayed(pcb_);
}

Outcome Connection::start_connect(SocketOwner& owner, const Call& call, std::string_view host,
                                  uint16_t port) {
    auto made = make(owner);
    if (made == nullptr) return Error::limit;
    const Error error = owner.admit(*made, Kind::connection, call.id);
    if (error != Error::ok) return error;
    std::unique_ptr<ClientStream> stream;
    if (call.brought != nullptr) {
        auto taken = take_channel(owner, *made, *call.brought);
        if (!taken.ok()) return taken.status();
        stream = std::move(taken).value();
    }
    made->port_ = port;
    made->opens_.add(call, call.bytes.size(), std::move(stream));
    owner.note_deadline(call.deadline);
    Connection& connection = *made.release();
    if (const auto address = parse_address(host); address.has_value()) {
        connection.connect(*address);
    } else {
        char name[host_name_max + 1] = {};
        std::copy(host.begin(), host.end(), name);
        connection.resolve(name);
    }
    return Outcome::later();
}

void Connection::resolve(const char* name) {
    ip_addr_t address;
    resolving_ = true;
    const err_t error = dns_gethostbyname(name, &address, found, this);
    if (error == ERR_INPROGRESS) return;
    found(name, error == ERR_OK ? &address : nullptr, this);
}

void Connection::found(const char* /*name*/, const ip_addr_t* address, void* self) {
    Connection& connection = object(self);
    connection.resolving_ = false;
    if (connection.unused_) {
        delete &connection;
    } else if (address == nullptr) {
        connection.finish_connect(Error::not_found);
    } else {
        connection.connect(lwip_ntohl(ip4_addr_get_u32(address)));
    }
}

void Connection::connect(uint32_t address) {
    peer_ = abi::peer_word(address, port_);
    if (!take_pcb(tcp_new())) return finish_connect(Error::limit);
    const ip_addr_t to = IPADDR4_INIT(lwip_htonl(address));
    const err_t error = tcp_connect(pcb_, &to, port_, connected);
    if (error == ERR_OK) return;
    detach(true);
    finish_connect(refusal_of(error));
}

err_t Connection::connected(void* self, tcp_pcb* pcb, err_t /*error*/) {
    Connection& connection = object(self);
    connection.local_ = word_of(pcb->local_ip, pcb->local_port);
    connection.finish_connect(Error::ok);
    return ERR_OK;
}

// Answers the request that opened it. Without success, or without a client, it is over.
void Connection::finish_connect(Error error) {
    if (opens_.empty()) return;
    PendingCall open = opens_.take_first();
    Outcome outcome(error);
    if (error == Error::ok) {
        outcome.opened = this;
        outcome.words[1] = open.word;
        if (open.stream != nullptr) take_stream(std::move(open.stream));
    }
    if (owner_.answers().answer(open.id, outcome) && error == Error::ok) return;
    closed();
}

Outcome Connection::handle(const Call& call) {
    if (call.is(abi::Verb::read, abi::stream_read)) return read(call);
    if (call.is(abi::Verb::write, abi::stream_write)) return write(call);
    if (call.is(abi::Verb::sync, abi::stream_sync)) return sync(call);
    if (call.is(abi::Verb::shutdown, abi::net_shutdown)) return shut_down(call);
    if (call.is(abi::Verb::get, abi::net_get)) return state(call);
    if (call.is(abi::Verb::set, abi::net_set)) return set_option(call);
    if (call.is(abi::Verb::share, abi::net_share)) return share(call);
    return Error::bad_operation;
}

Outcome Connection::read(const Call& call) {
    if (call.words[0] != 0) return Status(Error::bad_argument, 0);
    if (stream_ != nullptr) return Error::wrong_state;
    if (call.space.empty()) return Outcome();
    if (reads_.full()) return Error::limit;
    reads_.add(call);
    owner_.note_deadline(call.deadline);
    answer_reads();
    return Outcome::later();
}

// A client that has left takes nothing: the next read gets the bytes.
void Connection::answer_reads() {
    while (!reads_.empty()) {
        const PendingCall& read = reads_.first();
        Outcome outcome;
        if (discards_) {
            outcome.status = Error::closed;
        } else if (buffer_.size() > 0) {
            outcome = Outcome::with_bytes(buffer_.copy(read.space));
        } else if (error_ != Error::ok) {
            outcome.status = error_;
        } else if (!peer_ended_) {
            return;
        }
        const uint64_t id = read.id;
        reads_.remove_first();
        if (!owner_.answers().answer(id, outcome) || outcome.bytes == 0) continue;
        buffer_.consume(outcome.bytes);
        if (pcb_ != nullptr) tcp_recved(pcb_, static_cast<u16_t>(outcome.bytes));
    }
}

Outcome Connection::write(const Call& call) {
    if (call.words[0] != 0) return Status(Error::bad_argument, 0);
    if (stream_ != nullptr) return Error::wrong_state;
    if (pcb_ == nullptr) return reason();
    if (send_ended_) return Error::closed;
    if (call.bytes.empty()) return Outcome::with_word(0);
    if (writes_.full()) return Error::limit;
    if (const size_t count = writes_.empty() ? send_some(call.bytes) : 0; count != 0) {
        tcp_output(pcb_);
        return Outcome::with_word(count);
    }
    writes_.add(call);
    owner_.note_deadline(call.deadline);
    // Nothing on its way means that no acknowledgement will give the next try.
    if (unacknowledged_ == 0) owner_.want_retry();
    return Outcome::later();
}

// Hands lwIP as many bytes as it has room for; answers how many.
size_t Connection::send_some(std::span<const std::byte> bytes) {
    // The client has its share of lwIP's memory.
    if (!owner_.may_send(*this, tcp_sndqueuelen(pcb_))) return 0;
    size_t count = std::min<size_t>(bytes.size(), tcp_sndbuf(pcb_));
    // A trickle of small segments would cost more than waiting for room.
    if (count < bytes.size() && count < TCP_MSS) return 0;
    constexpr size_t write_max = 65535;  // lwIP's length is 16 bits
    count = std::min(count, write_max);
    while (count > 0) {
        if (tcp_sndqueuelen(pcb_) >= TCP_SND_QUEUELEN) return 0;
        const err_t error =
            tcp_write(pcb_, bytes.data(), static_cast<u16_t>(count), TCP_WRITE_FLAG_COPY);
        if (error == ERR_OK) break;
        if (error != ERR_MEM) return 0;
        count /= 2;
    }
    owner_.note_blocks(*this, tcp_sndqueuelen(pcb_));
    unacknowledged_ += count;
    return count;
}

void Connection::answer_writes() {
    bool wrote = false;
    while (!writes_.empty() && pcb_ != nullptr) {
        const PendingCall& write = writes_.first();
        const size_t count = send_some(write.bytes);
        if (count == 0) {
            // Nothing on its way means that no acknowledgement will give the next try.
            if (unacknowledged_ == 0) owner_.want_retry();
            break;
        }
        wrote = true;
        const uint64_t id = write.id;
        writes_.remove_first();
        static_cast<void>(owner_.answers().answer(id, Outcome::with_word(count)));
    }
    if (wrote) tcp_output(pcb_);
}

void Connection::retry() {
    answer_writes();
    if (stream_ != nullptr) owner_.note_work(*this);
}

// Nothing of the client waits to be sent or acknowledged.
bool Connection::all_sent() const {
    return unacknowledged_ == 0 && writes_.empty() &&
           (stream_ == nullptr || stream_->from_client().peek().empty());
}

Outcome Connection::sync(const Call& call) {
    if (pcb_ == nullptr && unacknowledged_ != 0) return reason();
    if (all_sent()) return Outcome();
    if (syncs_.full()) return Error::limit;
    syncs_.add(call);
    owner_.note_deadline(call.deadline);
    return Outcome::later();
}

void Connection::answer_syncs() {
    if (!syncs_.empty() && all_sent()) syncs_.answer_all(owner_.answers(), Outcome());
}

Outcome Connection::shut_down(const Call& call) {
    const uint64_t sides = call.words[0];
    if ((sides & ~(abi::shutdown_send | abi::shutdown_receive)) != 0) return Error::not_supported;
    if (sides == 0) return Status(Error::bad_argument, 0);
    if ((sides & abi::shutdown_send) != 0 && !send_ended_) {
        if (!writes_.empty()) return Error::busy;
        send_ending_ = true;
        if (stream_ == nullptr) end_sending();
    }
    if ((sides & abi::shutdown_receive) != 0) drop_received();
    if (stream_ != nullptr) owner_.note_work(*this);
    return Outcome();
}

void Connection::end_sending() {
    send_ended_ = true;
    // ERR_MEM: lwIP retries by itself.
    if (pcb_ != nullptr) static_cast<void>(tcp_shutdown(pcb_, 0, 1));
}

// What is here and what still arrives is of no interest.
void Connection::drop_received() {
    if (std::exchange(discards_, true)) return;
    const size_t dropped = buffer_.size() + std::exchange(handed_over_, 0);
    buffer_.consume(buffer_.size());
    if (pcb_ != nullptr) tcp_recved(pcb_, static_cast<u16_t>(dropped));
    answer_reads();
}

Outcome Connection::state(const Call& call) const {
    abi::ConnectionState state{};
    state.phase = pcb_ != nullptr ? abi::ConnectionPhase::open : abi::ConnectionPhase::closed;
    state.peer_has_ended = peer_ended_ ? 1 : 0;
    state.local = local_;
    state.peer = peer_;
    state.readable = static_cast<uint32_t>(buffer_.size());
    state.send_room = pcb_ != nullptr && !send_ended_ ? tcp_sndbuf(pcb_) : 0;
    state.unacknowledged = static_cast<uint32_t>(unacknowledged_);
    return answer_record(call, state);
}

Outcome Connection::set_option(const Call& call) {
    const uint64_t value = call.words[1];
    constexpr uint64_t seconds_max = 24 * 60 * 60;
    switch (static_cast<abi::ConnectionOption>(call.words[0])) {
        case abi::ConnectionOption::no_delay:
            if (value > 1) return Status(Error::bad_argument, 1);
            if (pcb_ == nullptr) return reason();
            if (value != 0) {
                tcp_nagle_disable(pcb_);
            } else {
                tcp_nagle_enable(pcb_);
            }
            return Outcome();
        case abi::ConnectionOption::keep_alive_seconds:
            if (value > seconds_max) return Status(Error::bad_argument, 1);
            if (pcb_ == nullptr) return reason();
            pcb_->keep_idle = static_cast<u32_t>(value * 1000);
            if (value != 0) {
                ip_set_option(pcb_, SOF_KEEPALIVE);
            } else {
                ip_reset_option(pcb_, SOF_KEEPALIVE);
            }
            return Outcome();
    }
    return Error::not_supported;
}

err_t Connection::received(void* self, tcp_pcb* pcb, pbuf* packet, err_t /*error*/) {
    Connection& connection = object(self);
    if (packet == nullptr) {
        connection.peer_ended_ = true;
        if (connection.send_ended_) {
            // Both sides are done: lwIP ends its record without another word.
            connection.detach(false);
            connection.end(Error::closed);
        }
        connection.answer_reads();
        connection.owner_.note_work(connection);
        return ERR_OK;
    }
    if (connection.discards_) {
        tcp_recved(pcb, packet->tot_len);
    } else {
        // The window is never larger than the buffer's room; should it be, lwIP keeps the packet.
        if (packet->tot_len > connection.buffer_.room()) return ERR_MEM;
        for (const pbuf* part = packet; part != nullptr; part = part->next) {
            connection.keep({static_cast<const std::byte*>(part->payload), part->len});
        }
    }
    pbuf_free(packet);
    connection.answer_reads();
    return ERR_OK;
}

err_t Connection::sent(void* self, tcp_pcb* pcb, u16_t bytes) {
    Connection& connection = object(self);
    connection.owner_.note_blocks(connection, tcp_sndqueuelen(pcb));
    connection.unacknowledged_ -= std::min<size_t>(bytes, connection.unacknowledged_);
    connection.answer_writes();
    connection.answer_syncs();
    if (connection.stream_ != nullptr || !connection.held_) connection.owner_.note_work(connection);
    return ERR_OK;
}

// lwIP has ended the connection and forgotten it.
void Connection::failed(void* self, err_t error) {
    Connection& connection = object(self);
    connection.pcb_ = nullptr;
    connection.owner_.note_blocks(connection, 0);
    if (!connection.opens_.empty()) {
        connection.finish_connect(error == ERR_RST ? Error::refused : Error::timed_out);
        return;
    }
    switch (error) {
        case ERR_CLSD: connection.peer_ended_ = true; break;
        case ERR_ABRT: connection.error_ = Error::timed_out; break;
        default: connection.error_ = Error::closed; break;
    }
    connection.end(connection.reason());
    if (connection.backlog_ != nullptr) {
        connection.backlog_->forget(connection);
        delete &connection;
    }
}

// Nothing more will happen: writes and syncs that wait get `error`, reads what is still there.
void Connection::end(Error error) {
    writes_.answer_all(owner_.answers(), error);
    syncs_.answer_all(owner_.answers(), unacknowledged_ == 0 ? Error::ok : error);
    answer_reads();
    owner_.note_work(*this);
}

// Leaves lwIP's record to lwIP, which sends what is left, or ends it at once.
void Connection::detach(bool abort) {
    if (pcb_ == nullptr) return;
    tcp_pcb* const pcb = pcb_;
    pcb_ = nullptr;
    owner_.note_blocks(*this, 0);
    tcp_arg(pcb, nullptr);
    tcp_recv(pcb, nullptr);
    tcp_sent(pcb, nullptr);
    tcp_err(pcb, nullptr);
    if (abort) {
        tcp_abort(pcb);
        return;
    }
    tcp_backlog_accepted(pcb);
    tcp_poll(pcb, forget, poll_interval);
    // Any other error than success leaves the record to forget().
    static_cast<void>(tcp_close(pcb));
}

// Ends a record without an object when its peer takes too long.
err_t Connection::forget(void* polls, tcp_pcb* pcb) {
    // Safety: without an object the argument is a plain number.
    const auto count = reinterpret_cast<uintptr_t>(polls) + 1;
    if (count < forget_polls) {
        tcp_arg(pcb, reinterpret_cast<void*>(count));
        return ERR_OK;
    }
    tcp_abort(pcb);
    return ERR_ABRT;
}

abi::Rights Connection::rights() const {
    using abi::Verb;
    return abi::right_of(Verb::read) | abi::right_of(Verb::write) | abi::right_of(Verb::sync) |
           abi::right_of(Verb::shutdown) | abi::right_of(Verb::share) | abi::right_of(Verb::get) |
           abi::right_of(Verb::set);
}

// What was taken from the client is still sent. Unread bytes reset the connection, by tcp_close():
// their sender would believe that they were used.
void Connection::closed() {
    held_ = false;
    const bool unread = buffer_.size() != 0;
    if (!unread && pcb_ != nullptr) drop_received();
    discards_ = true;
    if (unread) detach(false);
    end(Error::closed);
    if (resolving_) {
        unused_ = true;
        return;
    }
    send_ending_ = true;
    linger_until_ = owner_.now() + linger_time;
    owner_.note_deadline(linger_until_);
    work();
}

// Nobody holds it any more. False: it is over.
bool Connection::linger() {
    if (pcb_ == nullptr) return false;
    if (stream_ == nullptr && !send_ended_) end_sending();
    if (!send_ended_ || unacknowledged_ != 0) return true;
    detach(false);
    return false;
}

void Connection::work() {
    if (stream_ != nullptr) move_bytes();
    answer_syncs();
    if (!held_ && !resolving_ && !linger()) delete this;
}

uint64_t Connection::expire(uint64_t now) {
    if (!held_ && !resolving_) {
        if (linger_until_ > now) return linger_until_;
        detach(true);
        delete this;
        return abi::deadline_never;
    }
    Answers& answers = owner_.answers();
    uint64_t next = std::min(
        {reads_.expire(answers, now), writes_.expire(answers, now), syncs_.expire(answers, now)});
    if (opens_.empty()) return next;
    const uint64_t deadline = opens_.first().deadline;
    if (deadline > now) return std::min(next, deadline);
    detach(true);
    finish_connect(Error::timed_out);
    return next;
}

}  // namespace annulus::net
