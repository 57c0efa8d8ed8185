// SPDX-License-Identifier: MIT
// A TCP connection as a stream. Policy-free.
//
// What arrives is copied into a buffer as large as the receive window, so lwIP's pool is free at
// once; the window opens as the client reads. What is written is copied into lwIP's heap, at most
// TCP_SND_BUF bytes of one connection; a write that finds no room waits, and short counts are
// answered. With a stream (client_stream.h) bytes are copied between its memory and lwIP's, and
// the buffer holds what has no room in the stream; work() moves them, once for all frames and
// bells of a turn. Lifetime: the object lives until its handles are closed and the peer has
// everything, at most net_linger_seconds; lwIP's record of the connection a little longer.
#pragma once

#include <memory>

#include <lwip/tcp.h>

#include "abi/net.h"
#include "base/result.h"
#include "services/net/stack/path.h"
#include "services/net/stack/pending.h"
#include "services/net/stack/receive_buffer.h"
#include "services/net/stack/socket.h"

namespace annulus::net {

static_assert(ReceiveBuffer::capacity == TCP_WND, "the window promises room in the buffer");

// A listener, as seen by a connection in its backlog.
class Backlog {
public:
    // The connection ended before anybody accepted it.
    virtual void forget(class Connection& connection) = 0;

protected:
    ~Backlog() = default;
};

class Connection final : public Socket, private StreamUser {
public:
    // Over a connection that lwIP accepted; null if there is no room. It waits in `backlog`.
    static Connection* accepted(SocketOwner& owner, tcp_pcb* pcb, Backlog& backlog);

    // Starts connecting to `host`, which is an address or a name; the request `call` is answered
    // when that is done. The outcome says why it could not start, or is "later".
    static Outcome start_connect(SocketOwner& owner, const Call& call, std::string_view host,
                                 uint16_t port);

    // It leaves the backlog as the answer to `request`, with `stream` unless that is null. limit:
    // the client has too many.
    [[nodiscard]] Error hand_out(uint64_t request, std::unique_ptr<ClientStream> stream);

    // The request that it was handed out to has no client any more: it waits in `backlog` again,
    // and the stream that it was given is gone. Only before anything else happens to it.
    void take_back(Backlog& backlog);

    Outcome handle(const Call& call) override;
    [[nodiscard]] abi::Rights rights() const override;
    [[nodiscard]] abi::Protocol protocol() const override { return abi::Protocol::connection; }
    void closed() override;
    uint64_t expire(uint64_t now) override;
    void retry() override;
    void work() override;

private:
    explicit Connection(SocketOwner& owner) : owner_(owner) {}
    ~Connection() override;

    static std::unique_ptr<Connection, void (*)(Connection*)> make(SocketOwner& owner);
    [[nodiscard]] bool take_pcb(tcp_pcb* pcb);

    Outcome read(const Call& call);
    Outcome write(const Call& call);
    Outcome sync(const Call& call);
    Outcome shut_down(const Call& call);
    Outcome state(const Call& call) const;
    Outcome set_option(const Call& call);
    Outcome share(const Call& call);

    void resolve(const char* name);
    void connect(uint32_t address);
    void finish_connect(Error error);
    size_t send_some(std::span<const std::byte> bytes);
    void answer_reads();
    void answer_writes();
    void answer_syncs();
    void drop_received();
    void end_sending();
    void end(Error error);
    [[nodiscard]] bool all_sent() const;
    [[nodiscard]] bool linger();

    // connection_stream.cpp
    void client_rang() override;
    void take_stream(std::unique_ptr<ClientStream> stream);
    void keep(std::span<const std::byte> bytes);
    void move_bytes();
    void give_to_client();
    [[nodiscard]] bool take_from_client();
    [[nodiscard]] channel::Wait ask_client(bool took_all);
    [[nodiscard]] bool look_after_client();
    void refuse_client(uint32_t reason);

    void detach(bool abort);
    [[nodiscard]] Error reason() const { return error_ == Error::ok ? Error::closed : error_; }

    static void found(const char* name, const ip_addr_t* address, void* self);
    static err_t connected(void* self, tcp_pcb* pcb, err_t error);
    static err_t received(void* self, tcp_pcb* pcb, pbuf* packet, err_t error);
    static err_t sent(void* self, tcp_pcb* pcb, u16_t bytes);
    static void failed(void* self, err_t error);
    static err_t forget(void* polls, tcp_pcb* pcb);

    SocketOwner& owner_;
    tcp_pcb* pcb_ = nullptr;      // null: over
    Backlog* backlog_ = nullptr;  // not accepted yet
    bool listed_ = false;
    bool resolving_ = false;  // lwIP knows this object until found() was called
    bool unused_ = false;     // found() deletes it
    bool peer_ended_ = false;
    bool send_ending_ = false;  // nothing follows what is in the stream
    bool send_ended_ = false;
    bool discards_ = false;
    bool rung_ = false;          // the client has rung, and was not looked after since
    bool held_ = true;           // there is a handle, or will be one
    uint64_t linger_until_ = 0;  // not held: when it ends whatever is left
    Error error_ = Error::ok;    // why it ended
    uint16_t port_ = 0;          // to connect to
    uint64_t peer_ = 0;          // peer words, kept after the end
    uint64_t local_ = 0;
    size_t unacknowledged_ = 0;
    ReceiveBuffer buffer_;
    size_t handed_over_ = 0;  // bytes in the stream that still count in lwIP's window
    std::unique_ptr<ClientStream> stream_;
    PendingCalls<1> opens_;
    PendingCalls<abi::net_requests_max> reads_;
    PendingCalls<abi::net_requests_max> writes_;
    PendingCalls<abi::net_requests_max> syncs_;
};

}  // namespace annulus::net
