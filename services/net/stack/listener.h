// SPDX-License-Identifier: MIT
// A listening TCP port: connections wait in its backlog, or clients wait for connections.
// Policy-free.
#pragma once

#include "services/net/stack/connection.h"

namespace annulus::net {

class Listener final : public Socket, private Backlog {
public:
    // exists: another listener has the port; limit; no_memory.
    static Error create(SocketOwner& owner, uint16_t port, Listener*& listener);

    Outcome handle(const Call& call) override;
    [[nodiscard]] abi::Rights rights() const override;
    [[nodiscard]] abi::Protocol protocol() const override { return abi::Protocol::listener; }
    void closed() override;
    uint64_t expire(uint64_t now) override;

private:
    Listener(SocketOwner& owner, uint16_t port) : owner_(owner), port_(port) {}
    ~Listener() override;

    void forget(Connection& connection) override;
    // There is room: it has waited before.
    void wait_first(Connection& connection);
    void answer_accepts();
    Error listen();

    static err_t arrived(void* self, tcp_pcb* pcb, err_t error);

    SocketOwner& owner_;
    uint16_t port_;
    bool listed_ = false;
    tcp_pcb* pcb_ = nullptr;
    std::array<Connection*, abi::net_backlog_max> waiting_{};  // the oldest first
    size_t waiting_count_ = 0;
    uint64_t accepted_ = 0;
    PendingCalls<abi::net_accepts_max> accepts_;
};

}  // namespace annulus::net
