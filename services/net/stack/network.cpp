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

constexpr unsigned most_of_kind[socket_kinds] = {abi::net_connections_max, abi::net_listeners_max,
                                                 abi::net_datagram_sockets_max,
                                                 abi::net_prefixes_max};

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

Error Network::add(Socket& socket, SocketKind kind) {
    unsigned& count = counts_[static_cast<size_t>(kind)];
    if (count == most_of_kind[static_cast<size_t>(kind)]) return Error::limit;
    count++;
    sockets_.push_back(socket);
    return Error::ok;
}

void Network::remove(Socket& socket, SocketKind kind) {
    counts_[static_cast<size_t>(kind)]--;
    if (socket.client_.has_value()) {
        Account& account = *find_account(*socket.client_);
        account.of_kind[static_cast<size_t>(kind)]--;
        account.sockets--;
    }
    IntrusiveList<Socket, SocketLink>::remove(socket);
    if (IntrusiveList<Socket, WorkLink>::is_linked(socket)) {
        IntrusiveList<Socket, WorkLink>::remove(socket);
    }
}

// The client's, or a free one: there is always one, or the other.
Network::Account* Network::find_account(uint64_t client) {
    Account* free = nullptr;
    for (Account& account : accounts_) {
        if (account.sockets == 0) {
            if (free == nullptr) free = &account;
        } else if (account.client == client) {
            return &account;
        }
    }
    return free;
}

Error Network::admit(Socket& socket, SocketKind kind, uint64_t request) {
    const auto client = answers_.prepare(request, socket);
    if (!client.ok()) return client.error();
    Account* const account = find_account(*client);
    const auto which = static_cast<size_t>(kind);
    if (account == nullptr) return Error::limit;
    // The socket itself is not free any more.
    const unsigned free = most_of_kind[which] - counts_[which];
    if (account->sockets != 0 && account->of_kind[which] > free) return Error::limit;
    account->client = *client;
    account->sockets++;
    account->of_kind[which]++;
    socket.client_ = *client;
    return Error::ok;
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
        if (error == Error::ok) error = admit(*listener, SocketKind::listener, call.id);
        outcome.opened = listener;
    } else {
        Datagrams* datagrams = nullptr;
        error = Datagrams::create(*this, path.host, path.port, datagrams);
        if (error == Error::ok) error = admit(*datagrams, SocketKind::datagrams, call.id);
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
    if (const Error error = network_.add(*prefix, SocketKind::prefix); error != Error::ok) {
        delete prefix;
        return error;
    }
    if (const Error error = network_.admit(*prefix, SocketKind::prefix, call.id);
        error != Error::ok) {
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
    state.connections = network_.counts_[static_cast<size_t>(SocketKind::connection)];
    return answer_record(call, state);
}

abi::Rights Network::Prefix::rights() const {
    return abi::right_of(abi::Verb::open) | abi::right_of(abi::Verb::get);
}

void Network::Prefix::closed() {
    if (this == &network_.root_) return;
    network_.remove(*this, SocketKind::prefix);
    delete this;
}

}  // namespace annulus::net
