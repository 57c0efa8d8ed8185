// SPDX-License-Identifier: MIT
// A UDP socket. Policy-free.
#pragma once

#include <lwip/udp.h>

#include "abi/net.h"
#include "services/net/stack/path.h"
#include "services/net/stack/pending.h"
#include "services/net/stack/socket.h"

namespace annulus::net {

// Keeps some datagrams until they are read; the newest are dropped when there is no room.
class Datagrams final : public Socket {
public:
    // `host` empty: any peer, and `port` is the own one (0: lwIP chooses). Otherwise only this
    // peer; a name must have been looked up before: no_route for one that is no address.
    static Error create(SocketOwner& owner, std::string_view host, uint16_t port,
                        Datagrams*& socket);

    Outcome handle(const Call& call) override;
    [[nodiscard]] abi::Rights rights() const override;
    [[nodiscard]] abi::Protocol protocol() const override { return abi::Protocol::datagrams; }
    void closed() override;
    uint64_t expire(uint64_t now) override;

private:
    struct Datagram {
        uint64_t sender = 0;
        size_t bytes = 0;
        std::array<std::byte, abi::net_datagram_bytes_max> data;
    };
    static constexpr size_t kept_max = 16;

    explicit Datagrams(SocketOwner& owner) : owner_(owner) {}
    ~Datagrams() override;

    Error open(std::string_view host, uint16_t port);
    Outcome read(const Call& call);
    Outcome write(const Call& call);
    void answer_reads();

    static void received(void* self, udp_pcb* pcb, pbuf* packet, const ip_addr_t* from,
                         uint16_t port);

    SocketOwner& owner_;
    bool listed_ = false;
    udp_pcb* pcb_ = nullptr;
    uint64_t peer_ = 0;
    uint64_t received_ = 0;
    uint64_t dropped_ = 0;
    std::array<Datagram, kept_max> kept_;
    size_t first_ = 0;
    size_t count_ = 0;
    PendingCalls<abi::net_requests_max> reads_;
};

}  // namespace annulus::net
