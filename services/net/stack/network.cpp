// SPDX-License-Identifier: MIT
// The network: sockets by path, accounts, timers.
#include "services/net/stack/network.h"

#include <new>

#include <lwip/init.h>
#include <lwip/timeouts.h>

#include "abi/directory.h"
#include "services/net/lwip/port.h"
#include "services/net/stack/datagrams.h"
#include "services/net/stack/listener.h"

namespace annulus::net {
namespace {

// When a write found lwIP's memory full it is tried again after so long, in nanoseconds.
constexpr uint64_t retry_interval = 10'000'000;
constexpr uint64_t per_millisecond = 1'000'000;

// Flags of open that mean something for a socket.
constexpr uint64_t open_flags = abi::open_read | abi::open_write;

}  // namespace

Network::Network(Answers& answers, uint64_t seed) : answers_(answers), root_(*this) {
    seed_stack(seed);
    lwip_init();
}

Node& Network::root() { return root_; }

void Network::turn(uint64_t now) {
    now_ = now;
    set_stack_time(now);
    sys_check_timeouts();
    netif_poll_all();
    if (retry_wanted_) {
        retry_wanted_ = false;
        for (Socket& socket : sockets_) socket.retry();
    }
    // Work makes packets of the machine to itself, and these make work.
    constexpr unsigned rounds_max = 4;
    for (unsigned round = 0; round < rounds_max && !busy_.empty(); round++) {
        do_work();
        netif_poll_all();
    }
    if (now >= next_deadline_) expire(now);
}

void Network::expire(uint64_t now) {
    uint64_t next = abi::deadline_never;
    next_deadline_ = next;
    Socket* socket = sockets_.front();
    while (socket != nullptr) {
        // It may end with its request.
        Socket* const following = sockets_.next(*socket);
        next = std::min(next, socket->expire(now));
        socket = following;
    }
    note_deadline(next);
}

// One round: what comes up meanwhile waits for the next, so that nobody keeps all others waiting.
void Network::do_work() {
    IntrusiveList<Socket, WorkLink> round;
    round.splice_back(busy_);
    while (Socket* const socket = round.pop_front()) socket->work();
}

void Network::note_work(Socket& socket) {
    if (!IntrusiveList<Socket, WorkLink>::is_linked(socket)) busy_.push_back(socket);
}

uint64_t Network::next_turn() const {
    if (!busy_.empty()) return now_;
    uint64_t next = next_deadline_;
    constexpr u32_t no_timer = 0xffffffff;
    const u32_t sleep = sys_timeouts_sleeptime();
    if (sleep != no_timer) next = std::min(next, now_ + sleep * per_millisecond);
    if (retry_wanted_) next = std::min(next, now_ + retry_interval);
    return next;
}

Error Network::add(Socket& socket, Kind kind) {
    if (accounts_.none_left(kind)) return Error::limit;
    accounts_.add(kind);
    sockets_.push_back(socket);
    return Error::ok;
}

void Network::remove(Socket& socket, Kind kind) {
    dismiss(socket, kind);
    accounts_.remove(kind);
    IntrusiveList<Socket, SocketLink>::remove(socket);
    if (IntrusiveList<Socket, WorkLink>::is_linked(socket)) {
        IntrusiveList<Socket, WorkLink>::remove(socket);
    }
}

Error Network::admit(Socket& socket, Kind kind, uint64_t request) {
    const auto client = answers_.prepare(request, socket);
    if (!client.ok()) return client.error();
    Accounts::Account* const account = accounts_.join(*client);
    if (account == nullptr) return Error::limit;
    if (!accounts_.may_have(*account, kind)) {
        Accounts::leave(*account);
        return Error::limit;
    }
    Accounts::assign(*account, kind);
    socket.account_ = account;
    return Error::ok;
}

void Network::dismiss(Socket& socket, Kind kind) {
    if (socket.account_ == nullptr) return;
    note_blocks(socket, 0);
    Accounts::take_back(*socket.account_, kind);
    Accounts::leave(*std::exchange(socket.account_, nullptr));
}

Result<Place> Network::place_for_stream(Socket& socket) {
    if (socket.account_ == nullptr) return Error::limit;
    auto place = Place::take(accounts_, *socket.account_, Kind::stream);
    if (!place.has_value()) return Error::limit;
    return std::move(*place);
}

bool Network::may_send(Socket& socket, unsigned blocks) {
    note_blocks(socket, blocks);
    return socket.account_ != nullptr &&
           accounts_.may_have_more(*socket.account_, Kind::send_block);
}

void Network::note_blocks(Socket& socket, unsigned blocks) {
    if (socket.account_ == nullptr || socket.blocks_ == blocks) return;
    accounts_.count_blocks(*socket.account_, std::exchange(socket.blocks_, blocks), blocks);
}

Outcome Network::open_socket(const SocketPath& path, const Call& call) {
    Outcome outcome;
    outcome.words[1] = call.bytes.size();
    Error error = Error::ok;
    if (path.kind == PathKind::tcp_connect) {
        return Connection::start_connect(*this, call, path.host, path.port);
    }
    if (path.kind == PathKind::tcp_listen) {
        Listener* listener = nullptr;
        error = Listener::create(*this, path.port, listener);
        if (error == Error::ok) error = admit(*listener, Kind::listener, call.id);
        outcome.opened = listener;
    } else {
        Datagrams* datagrams = nullptr;
        error = Datagrams::create(*this, path.host, path.port, datagrams);
        if (error == Error::ok) error = admit(*datagrams, Kind::datagrams, call.id);
        outcome.opened = datagrams;
    }
    if (error == Error::ok) return outcome;
    if (outcome.opened != nullptr) outcome.opened->closed();
    return error;
}

Outcome Network::Prefix::handle(const Call& call) {
    if (call.is(abi::Verb::open, abi::directory_open)) return open(call);
    if (this == &network_.root_ && call.is(abi::Verb::get, abi::net_get)) return get_state(call);
    return Error::bad_operation;
}

Outcome Network::Prefix::open(const Call& call) {
    if ((call.words[0] & ~open_flags) != 0) return Error::not_supported;
    JoinedPath path = path_;
    if (!path.append(call.text())) return Error::bad_argument;
    if (call.bytes.empty() && call.brought == nullptr) return open_prefix(path, call);
    const SocketPath parsed = parse_path(path.text());
    if (call.brought != nullptr && parsed.kind != PathKind::tcp_connect) {
        return Error::not_supported;
    }
    switch (parsed.kind) {
        case PathKind::malformed: return Error::bad_argument;
        case PathKind::prefix: return open_prefix(path, call);
        default: return network_.open_socket(parsed, call);
    }
}

Outcome Network::Prefix::open_prefix(const JoinedPath& path, const Call& call) {
    auto* prefix = new (std::nothrow) Prefix(network_);
    if (prefix == nullptr) return Error::no_memory;
    if (const Error error = network_.add(*prefix, Kind::prefix); error != Error::ok) {
        delete prefix;
        return error;
    }
    if (const Error error = network_.admit(*prefix, Kind::prefix, call.id); error != Error::ok) {
        prefix->closed();
        return error;
    }
    prefix->path_ = path;
    Outcome outcome;
    outcome.opened = prefix;
    outcome.words[1] = call.bytes.size();
    return outcome;
}

Outcome Network::Prefix::get_state(const Call& call) const {
    abi::NetworkState state{};
    network_.interface_.describe(state);
    state.connections = network_.accounts_.used(Kind::connection);
    return answer_record(call, state);
}

abi::Rights Network::Prefix::rights() const {
    return abi::right_of(abi::Verb::open) | abi::right_of(abi::Verb::get);
}

void Network::Prefix::closed() {
    if (this == &network_.root_) return;
    network_.remove(*this, Kind::prefix);
    delete this;
}

}  // namespace annulus::net
